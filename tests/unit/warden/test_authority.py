"""The run-local authority: real handshakes with strict clients, and names that are none."""

from __future__ import annotations

import shutil
import socket
import ssl
import stat
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mcp_sandbox.warden import authority as authority_module
from mcp_sandbox.warden.authority import SHARED, Authority, AuthorityFailed, publish

LONGEST = ".".join(["a" * 63] * 3 + ["b" * 61])


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    made = Authority(tmp_path_factory.mktemp("authority"))
    yield made
    made.close()


def trusting(authority: Authority) -> ssl.SSLContext:
    """A client as strict as Python 3.13 makes them."""
    client = ssl.create_default_context(cadata=authority.ca_pem.decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    return client


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> ssl.SSLSocket:
    """The client's end of a finished handshake over a socket pair."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            with server.wrap_socket(ours, server_side=True):
                pass
        except (ssl.SSLError, OSError):
            ours.close()  # the client refused; its own error is what a test looks at

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        return client.wrap_socket(theirs, server_hostname=name)
    finally:
        theirs.close()
        thread.join(30)


@pytest.mark.parametrize(
    "name",
    [
        "api.example.com",
        "API.Example.Com",
        "db",
        "a_b.example",
        "93.184.216.34",
        "2606:2800:220:1::1",
        LONGEST,
    ],
)
def test_a_strict_client_accepts_the_name_it_asked_for(authority: Authority, name: str):
    handshake(authority.context_for(name), trusting(authority), name).close()


def test_an_internationalised_name_has_one_certificate_in_both_forms(authority: Authority):
    context = authority.context_for("bücher.example")
    assert authority.context_for("xn--bcher-kva.example") is context
    handshake(context, trusting(authority), "bücher.example").close()


def test_another_name_is_not_accepted(authority: Authority):
    context = authority.context_for("a.example")
    for name in ("b.example", "x.a.example", "10.0.0.1"):
        with pytest.raises(ssl.SSLCertVerificationError, match=r"mismatch|doesn't match|not valid"):
            handshake(context, trusting(authority), name)


def test_a_client_that_does_not_trust_the_authority_refuses(authority: Authority):
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(authority.context_for("a.example"), ssl.create_default_context(), "a.example")


def test_http_1_1_is_all_there_is(authority: Authority):
    client = trusting(authority)
    client.set_alpn_protocols(["h2", "http/1.1"])
    with handshake(authority.context_for("a.example"), client, "a.example") as connection:
        assert connection.selected_alpn_protocol() == "http/1.1"


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "a\nDNS.2 = b.example",
        "a.example,DNS:b.example",
        "DNS:b.example",
        "a.example\0.b.example",
        "$ENV::PATH",
        "${HOME}.example",
        "a#b",
        "a\\b",
        "*.example.com",
        "a b.example",
        "-config",
        "127.1",
        "fe80::1%lo",
        "a" * 64,
        LONGEST + "b",
        "é" * 5000,
        "\udcff.example",
    ],
)
def test_what_is_no_name_never_reaches_openssl(
    authority: Authority, name: str, monkeypatch: pytest.MonkeyPatch
):
    def never(*_: object, **__: object) -> None:
        raise AssertionError("openssl was started")

    monkeypatch.setattr(subprocess, "run", never)
    with pytest.raises(ValueError, match=r"host|number"):
        authority.context_for(name)


def test_a_name_is_on_no_command_line(authority: Authority, monkeypatch: pytest.MonkeyPatch):
    lines: list[list[str]] = []
    run = subprocess.run

    def noted(argv: list[str], **options: object) -> object:
        lines.append(argv)
        return run(argv, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "run", noted)
    authority.context_for("only-here.example")
    assert len(lines) == 1
    assert not [word for word in lines[0] if "only-here" in word]


def test_a_name_is_minted_once_whoever_asks(authority: Authority):
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(authority.context_for, ["same.example"] * 32))
    assert len(found) == 1


def test_names_beyond_the_bound_share_one_that_nobody_accepts(tmp_path: Path):
    small = Authority(tmp_path, most=2)
    kept = small.context_for("a.example")
    small.context_for("b.example")
    assert not small.full
    shared = small.context_for("c.example")
    assert small.full
    assert small.context_for("d.example") is shared
    assert small.context_for("a.example") is kept
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(shared, trusting(small), "c.example")
    handshake(shared, trusting(small), SHARED).close()


def test_the_keys_are_private_and_go_with_the_authority(tmp_path: Path):
    made = Authority(tmp_path)
    context = made.context_for("a.example")
    (folder,) = tmp_path.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for key in folder.glob("*.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert {"ca.key", "leaf.key"} <= {path.name for path in folder.iterdir()}
    assert b"PRIVATE" not in made.ca_pem
    made.close()
    assert list(tmp_path.iterdir()) == []
    handshake(context, trusting(made), "a.example").close()
    with pytest.raises(AuthorityFailed, match=r"cannot write leaf\.cnf"):
        made.context_for("b.example")


def test_its_life_is_bounded(authority: Authority, tmp_path: Path):
    pem = publish(authority, tmp_path)
    text = subprocess.run(
        ["openssl", "x509", "-in", str(pem), "-noout", "-checkend", str(3 * 86400)],
        capture_output=True,
        check=False,
    )
    assert text.returncode == 1
    assert b"will expire" in text.stdout


def test_what_is_published_is_readable_and_whole(authority: Authority, tmp_path: Path):
    target = publish(authority, tmp_path)
    assert target.read_bytes() == authority.ca_pem
    assert stat.S_IMODE(target.stat().st_mode) == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["ca.pem"]
    with pytest.raises(AuthorityFailed, match="published"):
        publish(authority, tmp_path / "missing")


def test_without_openssl_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(authority_module, "_PATH", str(tmp_path))
    with pytest.raises(AuthorityFailed, match="openssl genpkey"):
        Authority(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_openssl_complains_of_is_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, authority: Authority
):
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    program = bin_ / "openssl"
    program.write_text("#!/bin/sh\necho broken on purpose >&2; exit 3\n")
    program.chmod(0o755)
    assert shutil.which("openssl") != str(program)
    monkeypatch.setattr(authority_module, "_PATH", f"{bin_}:/bin")
    with pytest.raises(AuthorityFailed, match="ended with 3: broken on purpose"):
        authority.context_for("never-made.example")
