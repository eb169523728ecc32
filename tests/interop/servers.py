"""Servers of public SDKs: builds their images, and says what is known of them.

A target of ``servers/Dockerfile`` is one server. What is compiled is compiled on this machine, into
a folder named after all that goes into it, and handed to the image as a context.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SERVERS = HERE / "servers"
TOOLS = {"echo", "add"}
"""Of every server but the official example."""
OPTIONS = ("--max-calls", "40", "--call-timeout", "4")
"""Of every scan: enough to list, to call with valid input, and to see hostile input refused."""
EXAMPLE_SO = frozenset({"http-cors", "http-dns-rebinding", "http-no-authentication"})
"""What is found in the official example server over HTTP and over SSE, and is so."""
PATIENCE = 1800
"""Seconds for one build."""


@dataclass(frozen=True)
class Expected:
    """What has to come of one server."""

    name: str
    """The target of the Dockerfile."""
    sdk: str
    versions: dict[str, str | dict[str, str]]
    """Era -> the version that is negotiated, by transport where they differ; an era that is refused
    is missing."""
    transports: tuple[str, ...]
    calls_itself: str
    by_hand: frozenset[str]
    """Transports over which ``scripts/interop.sh`` alone scans it."""
    findings: frozenset[str]
    """Rules above a note that are right about it over HTTP."""

    def over(self, transport: str) -> dict[str, str]:
        """Era -> version over one transport."""
        return {
            era: given[transport] if isinstance(given, dict) else given
            for era, given in self.versions.items()
            if not isinstance(given, dict) or transport in given
        }


def expected() -> dict[str, Expected]:
    """``expect.toml``, by name."""
    document = tomllib.loads((HERE / "expect.toml").read_text())
    return {
        name: Expected(
            name=name,
            sdk=one["sdk"],
            versions=one["versions"],
            transports=tuple(one.get("transports", ("stdio", "http"))),
            calls_itself=one.get("calls-itself", name),
            by_hand=frozenset(one.get("by-hand", ())),
            findings=frozenset(one.get("findings", ())),
        )
        for name, one in document.items()
    }


def build(name: str, tag: str, cache: Path) -> None:
    """Build the image of a server. Raises ``CalledProcessError`` with what the build said."""
    docker = shutil.which("docker")
    assert docker is not None, "docker is needed to build the servers"
    built = compiled(name, cache)
    context = ("--build-context", f"built={built}") if built else ()
    _run([docker, "buildx", "build", "--load", *context, "--target", name, "--tag", tag, "."])


def compiled(name: str, cache: Path) -> Path | None:
    """The folder with a compiled server, made when there is none; ``None`` for an interpreted one.

    It is made under another name first: half a build must never pass for a whole one.
    """
    language, _, age = name.partition("-")
    if language not in COMPILERS:
        return None
    sources = sorted(path for path in (SERVERS / language).rglob("*") if path.is_file())
    digest = sha256(Path(__file__).read_bytes())
    for path in sources:
        digest.update(str(path.relative_to(SERVERS)).encode() + b"\0" + path.read_bytes() + b"\0")
    folder = cache / f"{name}-{digest.hexdigest()[:16]}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as partial:
            work, out = Path(partial, "work"), Path(partial, "out")
            out.mkdir()
            COMPILERS[language](SERVERS / language, age, work, out)
            out.rename(folder)
    return folder


def _go(source: Path, age: str, work: Path, out: Path) -> None:
    shutil.copytree(source / age, work)
    shutil.copy(source / "main.go", work)
    _run(
        [
            *("go", "build", "-mod=readonly", "-trimpath", "-ldflags=-s"),
            *("-o", str(out / f"go-{age}"), "."),
        ],
        work,
        CGO_ENABLED="0",
        GOFLAGS="",
    )


def _rust(source: Path, age: str, work: Path, out: Path) -> None:
    shutil.copytree(source / age, work)
    lock = work / "Cargo.lock"
    pinned = lock.read_text()
    lock.unlink()
    # Where packages come from is this machine's to say: the lock holds names and hashes alone.
    _run(["cargo", "generate-lockfile"], work)
    (line,) = set(re.findall(r"^source = .+$", lock.read_text(), re.MULTILINE))
    lock.write_text(pinned.replace(REGISTRY, line))
    _run(["cargo", "build", "--release", "--locked"], work)
    shutil.copy(work / "target" / "release" / f"rust-{age}", out)


def _java(source: Path, age: str, work: Path, out: Path) -> None:
    shutil.copytree(source / age, work)
    copy = ("dependency:copy-dependencies", "-DincludeScope=runtime")
    _run(["mvn", "-q", "-B", "package", *copy, "-DoutputDirectory=target/lib"], work)
    shutil.copytree(work / "target" / "lib", out / "lib")
    shutil.copy(work / "target" / f"java-{age}-1.0.0.jar", out / "lib")


REGISTRY = 'source = "registry"'
"""Stands in ``Cargo.lock`` for the line that names the registry's address."""

COMPILERS: dict[str, Callable[[Path, str, Path, Path], None]] = {
    "go": _go,
    "rust": _rust,
    "java": _java,
}
"""Language -> what compiles ``servers/LANGUAGE/AGE`` with a folder to work in into another one."""


def _run(argv: list[str], folder: Path = SERVERS, **environment: str) -> None:
    done = subprocess.run(
        argv,
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    if done.returncode:
        sys.stderr.write(done.stdout[-4000:])
        raise subprocess.CalledProcessError(done.returncode, argv, done.stdout)


def wrong(one: Expected, transport: str, report: dict[str, Any]) -> list[str]:
    """In what a report of a scan differs from what is known; empty when it is as expected."""
    found = [f"missing: {what}" for what in report["coverage"]["missing"]]
    tools = {name: tool["outcome"] for name, tool in report["coverage"]["tools"].items()}
    if tools != dict.fromkeys(TOOLS, "called"):
        found.append(f"tools: {tools}")
    sessions = report["observations"]["sessions"]
    eras: dict[str, str] = {}
    for session in sessions:
        seen = session["transcript"]
        place = (seen["http"] or {}).get("place") or {"transport": "stdio"}
        if place["transport"] != transport:
            found.append(f"{session['evidence']} was held over {place['transport']}")
        if seen["version"]:
            eras[seen["era"]] = seen["version"]
        if seen["breaches"]:
            found.append(f"{session['evidence']}: {seen['breaches']}")
    if eras != one.over(transport):
        found.append(f"versions: {eras}")
    main = sessions[0]["transcript"]
    if main["server_info"].get("name") != one.calls_itself:
        found.append(f"calls itself {main['server_info']}")
    above = {each["rule"] for each in report["findings"] if each["class"] != "note"}
    known = one.findings if transport != "stdio" else frozenset()
    if above != known:
        found.append(f"findings: {sorted(above)}")
    return found
