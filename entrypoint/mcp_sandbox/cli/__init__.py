"""The front door: signals, and every failure as one sentence and an exit code.

With its submodules the only code that reads the environment, prints, or exits. The commands and
their libraries are loaded late, so that a signal that arrives meanwhile finds its handler.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from typing import NoReturn, TextIO

from mcp_sandbox import interrupts
from mcp_sandbox.errors import ExitCode, Fault, Interrupted, SandboxError
from mcp_sandbox.report.escape import terminal


def main() -> NoReturn:
    """Run the command line; every failure becomes one sentence and an exit code."""
    debug = "--debug" in sys.argv[1:2]
    code: int = ExitCode.INFRASTRUCTURE
    try:
        interrupts.arm()
        from mcp_sandbox.cli.commands import run  # noqa: PLC0415 - see the module's docstring

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        code = _fail(Interrupted("Interrupted."), debug)
    except SandboxError as error:
        code = _fail(error, debug)
    except Exception as error:  # noqa: BLE001 - the last line: never a traceback for a user
        code = _fail(Fault(error), debug)
    interrupts.disarm()
    for stream, descriptor in ((sys.stdout, 1), (sys.stderr, 2)):
        _settle(stream, descriptor)
    interrupts.ignore()
    sys.exit(code)


def _fail(error: SandboxError, debug: bool) -> int:
    """Say what happened, what supports it, and the way out; returns the exit code."""
    lines = [f"error: {terminal(error.what)}"]
    if error.detail:
        # Behind a bar: a line of a stranger's that begins with `::` is a command in GitHub's logs.
        text = terminal(error.detail, lines=True)
        lines += [f"  | {line}" for line in text.splitlines()]
    if error.next_step:
        lines.append(f"  → {terminal(error.next_step)}")
    with contextlib.suppress(OSError):  # the code still tells, when nobody listens
        if debug:
            traceback.print_exc()
        sys.stderr.write("\n".join(lines) + "\n")
        sys.stderr.flush()
    return error.exit_code


def _settle(stream: TextIO, descriptor: int) -> None:
    """Flush now: what the interpreter cannot flush at its end turns every exit code into 120."""
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
