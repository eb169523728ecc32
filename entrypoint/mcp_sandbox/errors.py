"""Every failure a user can see: what happened, what to do next, and the exit code.

Exit codes are the contract of all front doors: 0 pass, 1 the gate failed, 2 bad input or
configuration, 3 infrastructure failed or the run is inconclusive. Nothing else is ever returned.

Each error carries one sentence (``what``) that names the thing, and one (``next_step``) that names
the way out. Text from a peer may stand inside ``what``: it is *not* escaped here, because escaping
belongs to the output that prints it.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """The process exit codes of every command."""

    PASS = 0
    GATE_FAILED = 1
    BAD_INPUT = 2
    INFRASTRUCTURE = 3


class SandboxError(Exception):
    """Base of all failures shown to a user.

    ``detail`` holds supporting lines (the end of a log), already bounded in size.
    """

    exit_code = ExitCode.INFRASTRUCTURE
    next_step = ""

    def __init__(self, what: str, *, next_step: str = "", detail: str = "") -> None:
        super().__init__(what)
        self.what = what if what.endswith((".", "?", "!")) else f"{what}."
        self.next_step = next_step or type(self).next_step
        self.detail = detail


class BadInput(SandboxError):
    """A value the user gave cannot be used."""

    exit_code = ExitCode.BAD_INPUT
    next_step = "See `mcp-sandbox scan --help`."


class DockerfileMissing(BadInput):
    """The build context holds no Dockerfile."""

    next_step = "Name it with --dockerfile, or scan a built image with --image REF."


class ContextRejected(BadInput):
    """The build context is unusable: not a folder, too large, unreadable."""

    next_step = (
        "Name the folder that holds the Dockerfile; "
        "a .dockerignore leaves out what the image does not need."
    )


class ImageMissing(BadInput):
    """The image named by --image is neither in the engine nor to be pulled."""

    next_step = "Check the reference with `docker image inspect REF` or `docker pull REF`."


class SourceUnusable(BadInput):
    """A package, bundle or repository that is not there, or that no server can be made of."""

    next_step = "docs/launch.md tells what a server can be taken from."


class NothingToRun(BadInput):
    """The image says nothing about what is to be started."""

    next_step = "Give it an ENTRYPOINT or CMD, or name the server's command after `--`."


class PolicyUnreadable(BadInput):
    """The policy file says something that nobody can act on."""

    next_step = "docs/policy.md names every key, with an example."


class ReportUnreadable(BadInput):
    """A saved report is missing, truncated, or of another schema version."""

    next_step = "Write it again with `mcp-sandbox scan`."


class BaselineUnreadable(BadInput):
    """A lock file is truncated, edited by hand, of a newer version, or none."""

    next_step = "Write it again with `mcp-sandbox baseline write`, and commit what it writes."


class EngineUnavailable(SandboxError):
    """No Docker engine answers."""

    next_step = (
        "Start Docker and set DOCKER_HOST if it listens elsewhere; "
        "`mcp-sandbox doctor` shows what was tried."
    )


class EngineFailed(SandboxError):
    """The engine refused or broke off an operation that it should be able to do."""

    next_step = "Run `mcp-sandbox doctor`, then `mcp-sandbox clean`, and try again."


class IndexUnreachable(SandboxError):
    """What a server is to be taken from cannot be reached."""

    next_step = "Check the network and the proxy of the engine's builds, and try again."


class BuildFailed(SandboxError):
    """The image could not be built (or not in time); ``detail`` ends the build's log."""

    exit_code = ExitCode.BAD_INPUT
    next_step = (
        "Build it by hand with `docker buildx build` and mend what its log names; "
        "--build-timeout gives it longer."
    )


class ServerNotStarted(SandboxError):
    """The server exited or never answered under every step of the relaxation ladder."""

    next_step = "Start the image by hand with the flags shown in the report and read its stderr."


class RunIncomplete(SandboxError):
    """A run did not see everything that its result would speak of; ``detail`` says what."""

    next_step = "Mend what is named above, or give the run longer with --timeout, and try again."


class OutputFailed(SandboxError):
    """A result file could not be written."""

    next_step = "Choose another folder with --out, or free some space."


class Interrupted(SandboxError):
    """SIGINT or SIGTERM arrived; what was learned so far has been written."""

    next_step = "Nothing is left running; start it again when you like."


class Fault(SandboxError):
    """Our own code failed in a way it does not foresee."""

    next_step = "Run it again as `mcp-sandbox --debug …` and report what it prints."

    def __init__(self, cause: BaseException) -> None:
        super().__init__(
            f"This is a fault of mcp-sandbox itself: {type(cause).__name__}: {str(cause)[:500]}"
        )
