"""Servers that harm the machine they run on, inside our sandbox: bounded, seen, and gone after.

Our prober speaks to the real container; the modes that refuse to run elsewhere are only run here.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import pytest

from mcp_sandbox.model import (
    COMPLETE,
    RUN_LABEL,
    ContainerFacts,
    Era,
    Identity,
    ImageFacts,
    Limits,
    Relaxation,
    SessionEnd,
    StopStage,
    Transcript,
    Witness,
)
from mcp_sandbox.probe.plan import Plan, Targets
from mcp_sandbox.probe.session import run
from mcp_sandbox.sandbox import Engine, Sandbox

pytestmark = pytest.mark.engine

MIB = 2**20
LIMITS = Limits(memory=96 * MIB, pids=40, tmpfs=8 * MIB, log_bytes=MIB)
Seen = tuple[Transcript, ContainerFacts]


@pytest.fixture
def hold(
    engine: Engine, corpus_image: ImageFacts, helper_image: str
) -> Iterator[Callable[..., Seen]]:
    """Hold a session with one mode in a container of its own; afterwards nothing of it is left."""
    run_id = f"hostile-{secrets.token_hex(4)}"

    def session(mode: str, *, patience: float = 20.0) -> Seen:
        plan = Plan(
            role="main",
            era=Era.HANDSHAKE,
            identity=Identity("corpus-test", "1.0.0"),
            targets=Targets(seed=1),
            start_timeout=patience,
            call_timeout=patience,
            session_timeout=60.0,
            max_calls=3,
        )
        sandbox = Sandbox(
            engine,
            corpus_image,
            run_id=run_id,
            limits=LIMITS,
            extra_env=("MCP_TEST_IN_SANDBOX=1",),
            extra_args=(mode,),
            helper_image=helper_image,
            lifetime=300.0,
        )
        with sandbox:
            server = sandbox.start(relaxation=Relaxation.NONE, environment={}, name="main")
            transcript = run(
                server.stream,
                plan,
                find=lambda _: (),
                mask=lambda text: text,
                record=lambda _direction, _data: None,
            )
            return transcript, server.finish(grace=1.0)

    yield session
    left = engine.api.containers(all=True, filters={"label": f"{RUN_LABEL}={run_id}"})
    assert left == []


def test_honest_reference(hold: Callable[..., Seen]) -> None:
    transcript, container = hold("crlf-lines")
    assert (transcript.end, transcript.breaches) == (SessionEnd.COMPLETED, ())
    assert {call.status.value for call in transcript.calls} == {"result"}
    assert (container.exit_code, container.stop) == (0, StopStage.STDIN_CLOSED)
    assert container.processes_at_end[1:] == ()


def test_a_fork_bomb_ends_at_the_limit(hold: Callable[..., Seen]) -> None:
    transcript, container = hold("fork-bomb")
    assert transcript.end is SessionEnd.COMPLETED
    assert "fork refused" in container.stderr
    assert 30 < len(container.processes_at_end) <= LIMITS.pids
    assert container.witnesses[Witness.TOP] == COMPLETE


def test_a_full_tmp_is_seen_and_costs_no_more_than_its_limit(hold: Callable[..., Seen]) -> None:
    transcript, container = hold("fills-tmp")
    assert transcript.end is SessionEnd.COMPLETED
    assert "No space left on device" in container.stderr
    written = sum(entry.size for entry in container.tmpfs if entry.kind == "file")
    assert LIMITS.tmpfs // 2 < written <= LIMITS.tmpfs


def test_memory_ends_at_the_limit(hold: Callable[..., Seen]) -> None:
    transcript, container = hold("eats-memory")
    assert transcript.end is SessionEnd.EXITED
    assert container.oom_killed
    assert container.exit_code == 137


@pytest.mark.parametrize("mode", ["daemon-keeps-streams", "daemon-detached"])
def test_a_daemon_is_seen_and_ends_with_its_container(mode: str, hold: Callable[..., Seen]) -> None:
    transcript, container = hold(mode)
    assert transcript.end is SessionEnd.COMPLETED
    assert [line for line in container.processes_at_end[1:] if mode in line] != []


def test_a_server_that_stays_is_killed(hold: Callable[..., Seen]) -> None:
    transcript, container = hold("ignores-goodbye")
    assert transcript.end is SessionEnd.COMPLETED
    assert (container.stop, container.exit_code) == (StopStage.KILLED, 137)


def test_a_flood_on_standard_error_is_kept_in_part_and_counted(hold: Callable[..., Seen]) -> None:
    transcript, container = hold("floods-stderr")
    assert transcript.end is SessionEnd.COMPLETED
    assert container.stderr_bytes > LIMITS.log_bytes
    assert len(container.stderr) <= 2 * LIMITS.log_bytes


@pytest.mark.parametrize(
    ("mode", "codes"),
    [
        ("exits-at-once-0", {0}),
        ("exits-at-once-3", {3}),
        # SIGABRT does not end the first process of a container; the fault that follows it does.
        ("crashes-by-signal", {134, 139}),
    ],
)
def test_an_exit_is_told_with_its_code(
    mode: str, codes: set[int], hold: Callable[..., Seen]
) -> None:
    transcript, container = hold(mode)
    assert transcript.end is SessionEnd.EXITED
    assert container.stop is StopStage.EXITED
    assert container.exit_code in codes
    if mode == "exits-at-once-3":
        assert "API_KEY is not set" in container.stderr


def test_a_flood_without_end_is_cut_and_ended(hold: Callable[..., Seen]) -> None:
    transcript, container = hold("endless-line")
    assert transcript.end is SessionEnd.BUDGET
    assert container.stop in {StopStage.STDIN_CLOSED, StopStage.TERMINATED, StopStage.KILLED}


@pytest.mark.parametrize("mode", ["never-reads", "closes-stdout", "stops-reading"])
def test_a_server_that_hangs_does_not_hang_us(mode: str, hold: Callable[..., Seen]) -> None:
    transcript, container = hold(mode, patience=2.0)
    assert transcript.end is not SessionEnd.COMPLETED
    assert container.stop in {StopStage.TERMINATED, StopStage.KILLED}
