"""One step of a workflow, and what is left to do at the job's end."""

from __future__ import annotations

import re
import secrets
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from mcp_sandbox import pipeline
from mcp_sandbox.action import event as events
from mcp_sandbox.action import inputs
from mcp_sandbox.action.files import Files, failure_summary, outputs
from mcp_sandbox.action.log import Log, Progress
from mcp_sandbox.errors import (
    BadInput,
    EngineUnavailable,
    ExitCode,
    Fault,
    Interrupted,
    SandboxError,
)
from mcp_sandbox.model import Verdict
from mcp_sandbox.model.answer import Report
from mcp_sandbox.report.lines import alerts, answer
from mcp_sandbox.report.spans import plain
from mcp_sandbox.settings import Settings

STATE = "run"
MIN_MASKED = 8
"""Characters: masking a shorter value would only blank out words of the log."""

_SAID = frozenset({"score", "coverage"})
"""Conditions of the gate that say no more than the coverage does."""

IN_CONTAINER = Path("/.dockerenv")
"""Docker makes it in every container."""


def run(environment: Mapping[str, str], log: Log) -> int:
    """Do the step; returns the exit code.

    Raises ``SandboxError`` only when the runner's own files cannot be written.
    """
    files = Files.of(environment)
    settings: Settings | None = None
    report: Report | None = None
    failure: SandboxError | None = None
    workspace: Path | None = None
    try:
        workspace = events.workspace(environment)
        settings, run_id = _prepare(environment, workspace, files, log)
        progress = Progress(log)
        try:
            outcome = pipeline.scan(
                settings, progress, pipeline.child_environment(environment), run_id=run_id
            )
        finally:
            progress.close()
        report, failure = outcome.report, _in_inputs(outcome.failure)
    except SandboxError as error:
        failure = _in_inputs(error)
    except KeyboardInterrupt:
        failure = Interrupted("Interrupted.")
    except Exception as error:  # noqa: BLE001 - outputs and summary tell of it too
        failure = Fault(error)
    _tell(log, report, failure)
    files.set_outputs(outputs(report, settings.out if settings else None, workspace))
    files.summarise(_summary(settings, report, failure))
    if failure is not None:
        return failure.exit_code
    return pipeline.EXIT_CODES[report.verdict] if report else ExitCode.INFRASTRUCTURE


def _in_inputs(error: SandboxError | None) -> SandboxError | None:
    return inputs.named(error) if isinstance(error, BadInput) else error


def _prepare(
    environment: Mapping[str, str], workspace: Path, files: Files, log: Log
) -> tuple[Settings, str]:
    """The settings, and the run's id, which is kept for ``sweep`` before it makes anything."""
    given = inputs.read(environment)
    event = events.read(environment)
    events.refuse_unsafe(event, allowed=inputs.flag(given, inputs.UNSAFE))
    if event.name.startswith("pull_request") and inputs.flag(given, "verify-secrets"):
        log.command(
            "warning",
            "verify-secrets is not done on pull requests: it would send what a stranger wrote to "
            "services in your name.",
            title="mcp-sandbox",
        )
        given["verify-secrets"] = "false"
    docker_host = environment.get("DOCKER_HOST") or None
    found = {"docker_host": docker_host, "base": event.base, "head": event.head}
    found |= {"trust": event.trust, "repository": event.repository}
    settings = inputs.settings(given, workspace, **found)
    events.refuse_baseless(event, settings)
    for pair in settings.env:
        value = pair.partition("=")[2]
        if len(value) >= MIN_MASKED:
            log.command("add-mask", value)
    run_id = secrets.token_hex(6)
    files.save_state(STATE, run_id)
    if helper := environment.get("MCP_SANDBOX_IMAGE") or _own_image(docker_host):
        settings = settings.model_copy(update={"helper_image": helper})
    return settings, run_id


def _own_image(docker_host: str | None) -> str:
    """The image that this container was made of, which is the helper's; empty outside of one."""
    if not IN_CONTAINER.exists():
        return ""
    with tempfile.NamedTemporaryFile(prefix=f"mcp-sandbox-{secrets.token_hex(16)}-") as marker:
        try:
            return pipeline.image_of(docker_host, marker.name)
        except EngineUnavailable:
            return ""  # the scan will say so, and write its report


def _summary(
    settings: Settings | None, report: Report | None, failure: SandboxError | None
) -> bytes:
    if report is not None and settings is not None:
        with suppress(OSError):
            return (settings.out / "summary.md").read_bytes()
    what = failure.what if failure else "The summary could not be read back."
    return failure_summary(what, failure.next_step if failure else "")


def _tell(log: Log, report: Report | None, failure: SandboxError | None) -> None:
    if failure is not None and failure.detail:
        log.lines(failure.detail.splitlines())
    if report is not None:
        log.lines(plain(spans) for spans in answer(report))
    said = f"{failure.what} {failure.next_step}".strip() if failure else ""
    if failure is None and report is not None and report.verdict is Verdict.INCONCLUSIVE:
        said = f"Inconclusive: {_why(report) or 'see the summary.'}"
    log.annotate(said, alerts(report) if report else ())


def _why(report: Report) -> str:
    """What keeps an inconclusive run from being a pass."""
    unheld = [one.flip for one in report.gate if not one.held and one.name not in _SAID]
    return "; ".join([*report.coverage.missing, *filter(None, unheld)])


def sweep(environment: Mapping[str, str], log: Log) -> None:
    """Remove what carries the run's label. Raises ``SandboxError``."""
    run_id = environment.get(f"STATE_{STATE}", "")
    if not re.fullmatch(r"[0-9a-f]{12}", run_id):
        log.lines(["The step made nothing that would have to be cleared away."])
        return
    removed = pipeline.clean(environment.get("DOCKER_HOST") or None, run_id)
    log.lines([*removed, f"{len(removed)} removed"])
