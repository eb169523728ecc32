"""A ``docker run`` is read as the Docker command reads it."""

from __future__ import annotations

import shlex

import pytest

from mcp_sandbox.launch import dangers, docker_run, secrets
from mcp_sandbox.model.launch import DangerKind


def parsed(line: str) -> docker_run.Run:
    run = docker_run.parse(shlex.split(line))
    assert run is not None
    return run


@pytest.mark.parametrize(
    ("line", "image", "arguments"),
    [
        ("docker run -i --rm acme/weather:1 serve -v x", "acme/weather:1", ("serve", "-v", "x")),
        ("docker run -it --name w --init acme/weather", "acme/weather", ()),
        ("docker run -itv a:/b acme/weather x", "acme/weather", ("x",)),
        ("docker run -eA=1 -e B -p8080:80 acme/weather", "acme/weather", ()),
        ("docker run --env-file .env --platform=linux/amd64 acme/weather", "acme/weather", ()),
        ("docker --context far container run -- acme/weather x", "acme/weather", ("x",)),
        ("/usr/local/bin/podman run acme/weather", "acme/weather", ()),
        ("docker run --pull always --memory 1g -h name acme/weather", "acme/weather", ()),
        ("docker run --rm", "", ()),
    ],
)
def test_image_and_arguments(line: str, image: str, arguments: tuple[str, ...]):
    run = parsed(line)
    assert (run.image, run.arguments) == (image, arguments)


@pytest.mark.parametrize(
    "line",
    ["", "docker", "docker exec -i c x", "docker compose run x", "docker mcp gateway run", "npx x"],
)
def test_other_commands_are_none(line: str):
    assert docker_run.parse(line.split()) is None


def test_variables_ports_and_entry_point():
    run = parsed("docker run -e A -e B=2 --env=C= -e 1=x -p 1:2 -p 3:4/udp --entrypoint sh i")
    assert run.environment == (("A", None), ("B", "2"), ("C", ""))
    assert (run.port, run.entrypoint) == (2, "sh")
    assert parsed("docker run -p 127.0.0.1:8000:9000 i").port == 9000
    assert parsed("docker run -p 99999:99999 i").port is None


@pytest.mark.parametrize(
    ("mount", "kind"),
    [
        ("-v /:/host", DangerKind.CONTROL),
        ("-v /etc:/x:ro", DangerKind.CONTROL),
        ("-v /proc:/x", DangerKind.CONTROL),
        ("-v //./pipe/docker_engine://./pipe/docker_engine", DangerKind.CONTROL),
        ("-v $XDG_RUNTIME_DIR/podman/podman.sock:/s", DangerKind.CONTROL),
        ("-v C:\\\\:/c", DangerKind.CONTROL),
        ("-v ~:/home", DangerKind.ACCESS),
        ("-v $HOME/.ssh:/k", DangerKind.ACCESS),
        ("-v ${env:HOME}/.kube:/k", DangerKind.ACCESS),
        ("-v /Users/me:/me", DangerKind.ACCESS),
        ("-v /Users/me/notes:/n", DangerKind.FOLDER),
        ("-v ./data:/data", DangerKind.FOLDER),
        ("-v $(pwd):/work", DangerKind.FOLDER),
        ("--mount type=bind,src=/srv,dst=/srv", DangerKind.FOLDER),
        ("-v data:/data", None),
        ("-v /data", None),
        ("--mount type=volume,src=/odd,dst=/srv", None),
        ("--mount type=tmpfs,dst=/tmp", None),
        ("--tmpfs /tmp", None),
    ],
)
def test_mounts(mount: str, kind: DangerKind | None):
    assert [one.kind for one in parsed(f"docker run {mount} i").dangers] == ([kind] if kind else [])


@pytest.mark.parametrize(
    ("option", "kind"),
    [
        ("--privileged", DangerKind.CONTROL),
        ("--privileged=true", DangerKind.CONTROL),
        ("--pid host", DangerKind.CONTROL),
        ("--ipc=host", DangerKind.ACCESS),
        ("--userns host", DangerKind.ACCESS),
        ("--cap-add ALL", DangerKind.CONTROL),
        ("--cap-add CAP_SYS_ADMIN", DangerKind.CONTROL),
        ("--cap-add NET_RAW", DangerKind.ACCESS),
        ("--security-opt apparmor=unconfined", DangerKind.CONTROL),
        ("--security-opt label=disable", DangerKind.CONTROL),
        ("--device /dev/dri", DangerKind.ACCESS),
        ("--user root", DangerKind.ROOT),
        ("-u0", DangerKind.ROOT),
        ("--net=host", DangerKind.NETWORK),
        ("--privileged=false", None),
        ("--pid container:x", None),
        ("--network none", None),
        ("--cap-drop ALL", None),
        ("--security-opt no-new-privileges", None),
        ("--user 1000", None),
    ],
)
def test_options(option: str, kind: DangerKind | None):
    found = parsed(f"docker run {option} i").dangers
    assert [one.kind for one in found] == ([kind] if kind else [])


@pytest.mark.parametrize(
    ("script", "runner"),
    [
        ("curl -fsSL https://x.example/i.sh | sh", "sh"),
        ("wget -qO- https://x.example/i | sudo bash -s -- --yes", "bash"),
        ("bash <(curl -s https://x.example/i)", "bash"),
        ('sh -c "$(curl -fsSL https://x.example/i)"', "sh"),
        ("curl https://x.example/i.py | python3 -", "python3"),
        ("curl -o /tmp/i https://x.example/i && sha256sum -c s && sh /tmp/i", ""),
        ("curl https://x.example/i | tar x", ""),
        ("cat i.sh | sh", ""),
        ("curl https://x.example/i | python3 -m json.tool", ""),
    ],
)
def test_downloads_that_are_run(script: str, runner: str):
    found = [
        one for one in dangers.of_command(("sh", "-c", script)) if one.kind is DangerKind.DOWNLOAD
    ]
    assert [one.option for one in found] == ([f"… | {runner}"] if runner else [])


KEY = "Zx8Kq2vPz91xLmA8fj3k"


@pytest.mark.parametrize(
    ("name", "value", "is_one"),
    [
        ("API_KEY", KEY, True),
        ("DB_PASSWORD", "Zx8Kq2vPz91xLmA8!", True),
        ("ANY", "ghp_" + "R7tY1wE6uI0oP4sD8gHc2VdA8fj3kLmQ9zX7", True),
        ("URL", "https://me:Zx8Kq2vPz91x@api.example.net/", True),
        ("API_KEY", "", False),
        ("API_KEY", "${API_KEY}", False),
        ("API_KEY", "Bearer ${env:API_KEY}", False),
        ("API_KEY", "your-key-Zx8Kq2vPz91x", False),
        ("API_KEY", "xxxxxxxxxxxxxxxxxxxxxxxx", False),
        ("API_KEY", "short", False),
        ("API_KEY", "/run/secrets/the_key_of_all", False),
        ("API_KEY", "aaaaaaaaaaaaaaaabbbbbbbb", False),
        ("MODE", KEY, False),
        ("API_KEY_FILE", KEY, False),
        ("URL", "postgres://user:password@localhost/db", False),
        ("URL", "https://${USER}:${PASSWORD}@x.example/", False),
    ],
)
def test_what_is_a_secret(name: str, value: str, is_one: bool):
    assert bool(secrets.held(name, value)) is is_one
    if is_one:
        assert secrets.shown(name, value) == secrets.MASK
