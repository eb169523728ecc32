"""Images on a real engine: built from hostile folders, taken by reference, removed by label."""

from __future__ import annotations

import io
import os
import secrets
import socket
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from mcp_sandbox import proc
from mcp_sandbox.errors import (
    BuildFailed,
    ContextRejected,
    DockerfileMissing,
    EngineUnavailable,
    ImageMissing,
)
from mcp_sandbox.image import ImageStore
from mcp_sandbox.image.context import collect
from mcp_sandbox.model import RUN_LABEL, ImageFacts
from mcp_sandbox.sandbox import Engine

BASE = "debian:trixie-slim"

pytestmark = pytest.mark.engine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    (tmp_path / "server").write_text("x")
    return tmp_path


def build(store: ImageStore, folder: Path, **options) -> ImageFacts:
    values = {"dockerfile": None, "network": "default", "timeout": 120, "environment": os.environ}
    return store.build(folder, **(values | options))


def test_launch_facts(store: ImageStore, folder: Path):
    (folder / "Dockerfile").write_text(
        f"FROM {BASE}\nENV A=1\nUSER 7:8\nWORKDIR /w\nEXPOSE 3123\nLABEL l=m\nVOLUME /v\n"
        'HEALTHCHECK CMD true\nENTRYPOINT ["/e"]\nCMD ["c", "d"]\n'
    )
    facts = build(store, folder)
    launch = facts.launch
    assert (launch.entrypoint, launch.command) == (("/e",), ("c", "d"))
    assert (launch.user, launch.working_dir) == ("7:8", "/w")
    assert (launch.exposed_ports, launch.volumes) == (("3123/tcp",), ("/v",))
    assert "A=1" in launch.environment
    assert launch.labels["l"] == "m"
    assert RUN_LABEL not in launch.labels
    assert launch.healthcheck == ("CMD-SHELL", "true")
    assert (launch.os, bool(launch.architecture)) == ("linux", True)
    assert facts.id.startswith("sha256:")
    assert facts.build is not None
    assert (facts.build.dockerfile, facts.build.context_files) == ("Dockerfile", 2)
    assert facts.standin_base == store.take(BASE).standin_base


def test_taken_by_reference_and_by_id(store: ImageStore, folder: Path):
    built = build(store, folder)
    assert store.take(built.id).id == built.id
    assert store.take(BASE).id.startswith("sha256:")


@pytest.mark.parametrize(
    "reference", ["127.0.0.1:1/none:latest", "sha256:" + "0" * 64, "127.0.0.1:1/none", "UPPER::x"]
)
def test_an_image_that_is_nowhere(store: ImageStore, reference: str):
    with pytest.raises(ImageMissing) as caught:
        store.take(reference)
    assert reference in caught.value.what


def test_what_of_a_folder_reaches_the_build(engine: Engine, store: ImageStore, folder: Path):
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("token")
    (folder / "secret").symlink_to("/etc/shadow")
    (folder / "inner").symlink_to("server")
    (folder / ".dockerignore").write_text("*.log\n")
    (folder / "x.log").write_text("x")
    facts = build(store, folder)
    assert names_in(engine, facts) == {".dockerignore", "Dockerfile", "inner", "server"}
    assert facts.build is not None
    assert facts.build.left_out == ("secret: a link that leaves the context",)


def names_in(engine: Engine, image: ImageFacts) -> set[str]:
    """Files of an image, without those that the engine adds to every container."""
    container = engine.api.create_container(image.id, ["x"])["Id"]
    try:
        data = b"".join(engine.api.export(container))
    finally:
        engine.api.remove_container(container)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        names = {member.name.rstrip("/") for member in tar}
    return {name for name in names if name.split("/")[0] not in ("dev", "proc", "sys", "etc")} - {
        ".dockerenv"
    }


@pytest.mark.parametrize(
    "text",
    [
        "**/node_modules\n!a/b/node_modules/x\nfoo\n!foo/bar\n",
        "*\n!keep/sub\n!x/*.md\n",
        "**b\na/**\n!a/b\n",
        "a[+]b\n**/*.md\n!**/README.md\n/keep/./sub/../g\n",
        "# no\n \n*/b\n.env\n**/.env\n[a-c]b*\n",
    ],
)
def test_ignore_files_mean_what_they_mean_to_docker(
    docker_host: str | None, tmp_path: Path, text: str
):
    for name in [
        "a/b/node_modules/x",
        "a/b/node_modules/y",
        "a/bb",
        "foo/bar/baz",
        "foo/q",
        "x/1.md",
        "x/README.md",
        "README.md",
        "keep/sub/f",
        "keep/g",
        "a+b",
        "abc",
        ".env",
        "x/.env",
        "sp",
    ]:
        path = tmp_path / "c" / name if name != "a+b" else tmp_path / "c" / "p" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (tmp_path / "c" / "empty").mkdir()
    (tmp_path / "c" / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    (tmp_path / "c" / ".dockerignore").write_text(text)
    out = tmp_path / "out.tar"
    argv = ["docker", "buildx", "build", "--builder", "default", "--output"]
    result = proc.run(
        [*argv, f"type=tar,dest={out}", str(tmp_path / "c")],
        environment=cli_environment(docker_host),
        timeout=60,
    )
    assert result.succeeded, result.stderr.decode()
    with tarfile.open(out) as tar:
        docker_sent = {member.name.rstrip("/") for member in tar}
    ours = {entry.path for entry in collect(tmp_path / "c").entries}
    assert ours - {"Dockerfile"} == docker_sent - {"Dockerfile"}


def cli_environment(docker_host: str | None) -> dict[str, str]:
    fixed = {} if docker_host is None else {"DOCKER_HOST": docker_host}
    return proc.allowed_environment(os.environ, **fixed)


class Registry:
    """Listens where a frontend is said to be, and notes who comes."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.visits = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.visits += 1
            connection.close()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@pytest.fixture
def registry() -> Iterator[Registry]:
    made = Registry()
    yield made
    made.close()


def test_a_foreign_frontend_is_not_fetched(
    store: ImageStore, docker_host: str | None, folder: Path, registry: Registry
):
    text = (
        f"# syntax=127.0.0.1:{registry.port}/evil:{secrets.token_hex(4)}\nFROM scratch\nCOPY . /\n"
    )
    (folder / "Dockerfile").write_text(text)
    facts = build(store, folder)
    assert registry.visits == 0
    assert facts.build is not None
    assert f"127.0.0.1:{registry.port}/evil" in facts.build.left_out[0]
    # The guard bites: the same folder, handed to Docker as it is, asks that registry.
    result = proc.run(
        ["docker", "buildx", "build", "--builder", "default", str(folder)],
        environment=cli_environment(docker_host),
        timeout=60,
    )
    assert not result.succeeded
    assert registry.visits > 0


def test_the_builds_network_can_be_none(store: ImageStore, folder: Path):
    (folder / "Dockerfile").write_text(
        f'FROM {BASE}\nRUN test "$(ls /sys/class/net)" = lo # {secrets.token_hex(4)}\n'
    )
    assert build(store, folder, network="none").build is not None
    with pytest.raises(BuildFailed):
        build(store, folder, network="default")


def test_nothing_of_our_environment_reaches_the_build(
    store: ImageStore, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SECRET_TOKEN", "s3cret")
    (folder / "Dockerfile").write_text(
        f"FROM {BASE}\nARG SECRET_TOKEN\n"
        f'RUN test -z "$SECRET_TOKEN" && ! env | grep -q s3cret # {secrets.token_hex(4)}\n'
    )
    assert build(store, folder).id


def test_a_build_that_fails_shows_the_end_of_its_log(store: ImageStore, folder: Path):
    (folder / "Dockerfile").write_text(
        f"FROM {BASE}\nRUN seq 1 200000; echo the reason; exit 3 # {secrets.token_hex(4)}\n"
    )
    with pytest.raises(BuildFailed) as caught:
        build(store, folder)
    assert "the reason" in caught.value.detail
    assert len(caught.value.detail.splitlines()) <= 40


def test_a_build_that_takes_too_long(store: ImageStore, folder: Path):
    (folder / "Dockerfile").write_text(f"FROM {BASE}\nRUN sleep 600 # {secrets.token_hex(4)}\n")
    with pytest.raises(BuildFailed, match="within 3 seconds"):
        build(store, folder, timeout=3)


def test_folders_that_are_refused_before_the_engine_hears_of_them(store: ImageStore, folder: Path):
    with (folder / "large").open("wb") as file:
        file.truncate(600 * 2**20)
    with pytest.raises(ContextRejected, match="512 MiB"):
        build(store, folder)
    with pytest.raises(DockerfileMissing):
        build(store, folder, dockerfile=Path("absent"))


def test_only_this_runs_images_are_removed(
    docker_host: str | None, engine: Engine, folder: Path, store: ImageStore
):
    other = build(store, folder)
    run_id = f"test-{secrets.token_hex(4)}"
    own = ImageStore(docker_host, run_id)
    (folder / "only").write_text(run_id)
    built = build(own, folder)
    assert own.remove_built() == [built.id]
    assert own.remove_built() == []
    own.close()
    with pytest.raises(docker.errors.NotFound):
        engine.api.inspect_image(built.id)
    assert engine.api.inspect_image(other.id)
    assert engine.api.inspect_image(BASE)


def test_no_engine(tmp_path: Path):
    address = f"unix://{tmp_path}/absent.sock"
    with pytest.raises(EngineUnavailable) as caught:
        ImageStore(address, "x")
    assert address in caught.value.what


@pytest.mark.parametrize(
    "said", ["docker: 'buildx' is not a docker command.", "docker: unknown command: docker buildx"]
)
def test_no_buildx(store: ImageStore, folder: Path, tmp_path: Path, said: str):
    command = tmp_path / "bin" / "docker"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\necho "{said}" >&2\nexit 1\n')
    command.chmod(0o755)
    with pytest.raises(EngineUnavailable, match="buildx"):
        build(store, folder, environment={"PATH": f"{command.parent}:{os.defpath}"})


def test_no_docker_command(store: ImageStore, folder: Path, tmp_path: Path):
    with pytest.raises(EngineUnavailable, match="docker command"):
        build(store, folder, environment={"PATH": str(tmp_path)})


# --- what a build hands over ----------------------------------------------------------------------


def export(store: ImageStore, folder: Path) -> dict[str, bytes]:
    return store.export(
        folder,
        stage="given",
        anew="made",
        network="none",
        timeout=120,
        environment=os.environ,
    )


STAGES = """\
FROM {base} AS made
RUN mkdir /out && {command}
FROM scratch AS given
COPY --from=made /out/ /
"""


def test_files_of_a_stage_are_handed_over_and_made_anew(store: ImageStore, folder: Path):
    command = (
        "cat /proc/sys/kernel/random/uuid >/out/id && mkdir /out/d && ln -s /etc/passwd /out/l"
    )
    (folder / "Dockerfile").write_text(STAGES.format(base=BASE, command=command))
    first, second = export(store, folder), export(store, folder)
    assert set(first) == set(second) == {"id"}
    assert first != second


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("head -c 40000000 /dev/zero >/out/x", "larger than"),
        ("for n in $(seq 70); do echo >/out/$n; done", "too many files"),
        ("false", "could not be built"),
    ],
)
def test_what_is_handed_over_is_bounded(store: ImageStore, folder: Path, command: str, said: str):
    (folder / "Dockerfile").write_text(STAGES.format(base=BASE, command=command))
    with pytest.raises(BuildFailed, match=said):
        export(store, folder)


def test_a_context_is_packed_as_it_is_sent(folder: Path):
    packed = ImageStore.packed(folder, 2**20)
    assert packed is not None
    with tarfile.open(fileobj=io.BytesIO(b"".join(packed))) as archive:
        assert set(archive.getnames()) == {"Dockerfile", "server"}
    assert ImageStore.packed(folder, 2_000) is None
