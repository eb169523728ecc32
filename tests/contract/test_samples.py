"""The sample files as a server finds them in a real container: its own, writable, in memory."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import pytest

from mcp_sandbox import planted
from mcp_sandbox.model import ImageFacts, Limits, Network, Relaxation, Tracing
from mcp_sandbox.sandbox import Engine, Sandbox
from support.on_engine import BASE
from support.sandboxed import read_until

pytestmark = pytest.mark.engine

WITH_GIT = f"""FROM {BASE}
RUN apt-get update && apt-get install -y --no-install-recommends git && rm -rf /var/lib/apt/lists/*
RUN useradd -m -u 1234 app && mkdir -p /srv/allow /app && echo mine >/srv/allow/notes.txt
WORKDIR /app
"""
WATCHED = [
    (Tracing.INSIDE, Network.SINK),
    (Tracing.NONE, Network.SINK),
    (Tracing.NONE, Network.NONE),
]


@pytest.fixture(scope="module")
def git_image(build: Callable[..., ImageFacts]) -> ImageFacts:
    return build(WITH_GIT)


def ran(
    engine: Engine,
    helper_image: str,
    image: ImageFacts,
    script: str,
    *,
    tracing: Tracing = Tracing.NONE,
    network: Network = Network.SINK,
) -> tuple[str, list[str], str]:
    """What a script says that runs as the server, what it left in memory, and the run's id."""
    run_id = f"test-{secrets.token_hex(4)}"
    sandbox = Sandbox(
        engine,
        image,
        run_id=run_id,
        limits=Limits(),
        extra_env=(),
        # It reads a line first: where nobody watches, the files come while the server runs.
        extra_args=("sh", "-c", f"read -r go; {script}; echo end; cat"),
        helper_image=helper_image,
        lifetime=600,
        network=network,
    )
    with sandbox:
        sandbox.plant({}, {}, beside=planted.samples_beside(("/app", "/srv/allow", "/srv/absent")))
        sandbox.sample(planted.samples_in_scratch())
        server = sandbox.start(
            relaxation=Relaxation.NONE, environment={}, name="s", tracing=tracing
        )
        server.stream.send(memoryview(b"go\n"))
        text = read_until(server.stream, b"end\n").decode()
        facts = server.finish()
    return text, [entry.path for entry in facts.tmpfs], run_id


@pytest.mark.parametrize(("tracing", "network"), WATCHED)
def test_files_and_repository_are_the_servers_own_whoever_watches(
    engine: Engine, helper_image: str, git_image: ImageFacts, tracing: Tracing, network: Network
) -> None:
    text, left, run_id = ran(
        engine,
        helper_image,
        git_image,
        "cd /tmp/repository && stat -c %u:%g . .git/HEAD ../notes.pdf ../spare | uniq;"
        " git status --porcelain && git add notes.txt && git commit -qm x && git push -q"
        " && git log --oneline | wc -l; grep -c ' /tmp tmpfs rw,nosuid,nodev,noexec' /proc/mounts;"
        " df -k /tmp | awk 'END { print $2 }'",
        tracing=tracing,
        network=network,
    )
    assert text.splitlines() == [
        "65532:65532", "M  README.md", " M notes.txt", "?? draft.txt", "3", "1", "65536", "end",
    ]  # fmt: skip
    assert "/tmp/repository/.git/refs/heads/main" in left
    assert "/tmp/notes.pdf" not in left
    assert "/tmp/repository/README.md" not in left, "as it was"
    assert not [one for one in engine.api.volumes()["Volumes"] or () if run_id in one["Name"]]


def test_a_folder_of_the_image_gets_what_it_lacks_and_none_is_made(
    engine: Engine, helper_image: str, git_image: ImageFacts
) -> None:
    text, left, _ = ran(
        engine,
        helper_image,
        git_image,
        "head -n 1 notes.txt; cat /srv/allow/notes.txt; head -c 4 /srv/allow/notes.pdf; echo;"
        " test -e /srv/absent || echo absent; (echo x >notes.txt) 2>/dev/null || echo read-only",
    )
    assert text.splitlines() == ["Sample text.", "mine", "%PDF", "absent", "read-only", "end"]
    assert left == []
