"""What is planted, seen by a server in a real container: contents, links, owners, git."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import closing

import pytest

from mcp_sandbox import planted
from mcp_sandbox.model import ImageFacts, Limits, Network, Relaxation, Tracing
from mcp_sandbox.planted import Matcher, Planted
from mcp_sandbox.sandbox import Engine, Sandbox
from support.on_engine import BASE
from support.sandboxed import read_until

pytestmark = pytest.mark.engine

WITH_GIT = f"""FROM {BASE}
RUN apt-get update && apt-get install -y --no-install-recommends git && rm -rf /var/lib/apt/lists/*
RUN useradd -m -u 1234 app && mkdir -p /srv/allow && echo mine >/srv/allow/notes.txt
"""
GIVEN = ("/srv/allow", "/srv/absent", "/tmp/notes")

Run = Callable[..., tuple[Planted, str, dict[str, str]]]


@pytest.fixture(scope="module")
def git_image(build: Callable[..., ImageFacts]) -> ImageFacts:
    return build(WITH_GIT)


@pytest.fixture
def run(engine: Engine, helper_image: str) -> Run:
    """Plants as a scan does, runs a script as the server, and returns what it printed."""

    def ran(
        image: ImageFacts, script: str, *, owned: bool = True
    ) -> tuple[Planted, str, dict[str, str]]:
        run_id = f"test-{secrets.token_hex(4)}"
        sandbox = Sandbox(
            engine,
            image,
            run_id=run_id,
            limits=Limits(),
            extra_env=(),
            extra_args=("sh", "-c", f"{script}; echo end; cat"),
            helper_image=helper_image,
            lifetime=600,
        )
        with sandbox:
            bait = planted.make(run_id, home=sandbox.home(), directories=GIVEN)
            sandbox.plant(bait.files, bait.appended, bait.links, bait.owned if owned else ())
            server = sandbox.start(
                relaxation=Relaxation.NONE, environment=bait.environment, name="s"
            )
            with closing(server.stream):
                text = read_until(server.stream, b"end\n").decode("latin-1")
            return bait, text, sandbox.unplanted

    return ran


@pytest.mark.parametrize(
    ("user", "owner"), [("", "65532:65532"), ("USER app\n", "1234:1234"), ("USER 77:88\n", "77:88")]
)
def test_git_of_the_servers_user_reads_the_planted_repository(
    run: Run, build: Callable[..., ImageFacts], user: str, owner: str
) -> None:
    bait, text, unplanted = run(
        build(WITH_GIT + user),
        f"cd {planted.make('x', home='/', directories=GIVEN).repository} &&"
        " stat -c '%u:%g %n' . .git .git/HEAD service-token.txt && id -u;"
        " for what in log status branch 'diff' 'diff --cached' 'show HEAD'; do"
        ' echo "== $what"; git $what 2>&1; done',
    )
    matcher = Matcher(bait)
    place = f"file:{bait.repository}/service-token.txt"
    stats, *parts = text.split("== ")
    assert [line.split()[0] for line in stats.splitlines()[:-1]] == [owner] * 4
    assert stats.splitlines()[-1] == owner.partition(":")[0]
    assert "dubious ownership" not in text
    assert len(parts) == 6
    for part in parts:
        assert {hit.place for hit in matcher.find(part.encode())} == {place}, part
    assert not [path for path in unplanted if path.startswith(bait.repository)]


def test_git_refuses_the_repository_of_another_owner(run: Run, git_image: ImageFacts) -> None:
    """That the owner matters at all."""
    folder = planted.make("x", home="/", directories=GIVEN).repository
    bait, text, _ = run(git_image, f"git -C {folder} log 2>&1", owned=False)
    assert "dubious ownership" in text
    assert Matcher(bait).find(text.encode()) == ()


def test_links_lead_out_of_folders_that_are_there_and_make_none(
    run: Run, git_image: ImageFacts
) -> None:
    bait, text, unplanted = run(
        git_image,
        "cd /srv/allow && stat -c '%F %N' latest.log current && cat latest.log current/*;"
        " echo ==; ls -A /srv/allow; test -e /srv/absent || echo absent; ls -A /tmp",
    )
    archive = bait.links["/srv/allow/current"]
    assert "symbolic link 'latest.log' -> '/opt/backup/archive/service.log'" in text
    assert "symbolic link 'current' -> '/opt/backup/archive'" in text
    value = bait.values[f"file:{archive}/service.log"]
    assert text.count(value) == 2
    assert text.partition("==\n")[2].split() == [
        "current", "latest.log", "notes.txt", "absent", "end",
    ]  # fmt: skip
    assert {path: why for path, why in unplanted.items() if path in bait.links} == {
        "/srv/absent/current": "the image has no such folder",
        "/srv/absent/latest.log": "the image has no such folder",
        "/tmp/notes/current": "/tmp is mounted over when the server starts",
        "/tmp/notes/latest.log": "/tmp is mounted over when the server starts",
    }


def test_every_planted_file_is_there_with_its_content(run: Run, git_image: ImageFacts) -> None:
    bait, text, unplanted = run(git_image, "cat /etc/passwd; find / -xdev -type f -size -9k"
                                " -newermt 1999-12-31 ! -newermt 2000-01-02 -exec cat {} +"
                                " 2>/dev/null; env")  # fmt: skip
    found = {hit.place for hit in Matcher(bait).find(text.encode("latin-1"))}
    missing = {f"file:{path}" for path in unplanted}
    assert found == set(bait.places) - missing
    elsewhere = {path for path in unplanted if not path.startswith("/tmp/")}
    assert elsewhere <= bait.links.keys(), "every file found its place"


HOME_IN_MEMORY = f"""FROM {BASE}
RUN useradd -m -u 1234 app
VOLUME /home/app /var/lib/app
USER app
"""


@pytest.mark.parametrize(
    ("tracing", "network"),
    [
        (Tracing.INSIDE, Network.SINK),
        (Tracing.NONE, Network.SINK),
        (Tracing.NONE, Network.NONE),
    ],
)
def test_a_home_that_is_a_volume_holds_the_secrets_and_is_the_servers_own(
    build: Callable[..., ImageFacts],
    engine: Engine,
    helper_image: str,
    tracing: Tracing,
    network: Network,
) -> None:
    image = build(HOME_IN_MEMORY)
    run_id = f"test-{secrets.token_hex(4)}"
    sandbox = Sandbox(
        engine,
        image,
        run_id=run_id,
        limits=Limits(),
        extra_env=(),
        extra_args=(
            *("sh", "-c"),
            # Where nobody stands beside it, its memory is filled a moment after it is started.
            "until test -s ~/.pgpass; do sleep 0.1; done;"
            " cat ~/.aws/credentials; mkdir ~/.aws/mine ~/.app && cp ~/.pgpass ~/.app/copy;"
            " stat -c %U ~/.ssh/id_rsa; echo end; cat",
        ),
        helper_image=helper_image,
        lifetime=600,
        network=network,
    )
    with sandbox:
        bait = planted.make(run_id, home=sandbox.home())
        sandbox.plant(bait.files, bait.appended, beside={"/home/app/notes.txt": b"x", "/a/b": b""})
        assert sandbox.unplanted == {}
        server = sandbox.start(
            relaxation=Relaxation.NONE, environment=bait.environment, name="s", tracing=tracing
        )
        text = read_until(server.stream, b"end\n").decode()
        matcher = Matcher(bait)
        facts = server.finish(find=matcher.find)
    assert {hit.place for hit in matcher.find(text.encode())} == {"file:/home/app/.aws/credentials"}
    assert text.endswith("app\nend\n")
    # What lies where it was put is no trace of the server; its copy is.
    assert [entry.path for entry in facts.tmpfs] == [
        "/home/app/.app", "/home/app/.app/copy", "/home/app/.aws/mine",
    ]  # fmt: skip
    assert {(path, hit.place) for path, hit in facts.tmpfs_canaries} == {
        ("/home/app/.app/copy", "file:/home/app/.pgpass")
    }
