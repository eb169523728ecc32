"""The front door that GitHub's runner opens: inputs to settings, results to outputs.

With its submodules, and with ``cli``, the only code that reads the environment, prints, or exits.
Everything is written before it ends with a code other than 0, which fails the step.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from mcp_sandbox import interrupts
from mcp_sandbox.action.log import Log
from mcp_sandbox.errors import ExitCode, Fault, Interrupted, SandboxError


def main() -> NoReturn:
    """Scan what the workflow asks for; every failure becomes one annotation and an exit code."""
    log = Log(sys.stdout)
    code: int = ExitCode.INFRASTRUCTURE
    try:
        interrupts.arm()
        from mcp_sandbox.action.step import run  # noqa: PLC0415 - a signal finds its handler

        code = run(os.environ, log)
    except KeyboardInterrupt:
        code = _fail(Interrupted("Interrupted."), log)
    except SandboxError as error:
        code = _fail(error, log)
    except Exception as error:  # noqa: BLE001 - the last line: never a traceback for a user
        code = _fail(Fault(error), log)
    log.close()
    interrupts.disarm()
    interrupts.ignore()
    sys.exit(code)


def _fail(error: SandboxError, log: Log) -> int:
    """For what goes wrong where not even outputs can be written."""
    log.annotate(f"{error.what} {error.next_step}".strip(), ())
    return error.exit_code


def cleanup() -> NoReturn:
    """Remove what the step left on the engine; never fails the job, and says when it could not."""
    log = Log(sys.stdout)
    try:
        interrupts.arm()
        from mcp_sandbox.action.step import sweep  # noqa: PLC0415 - as above

        sweep(os.environ, log)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - told; the verdict stands
        what = error.what if isinstance(error, SandboxError) else f"{type(error).__name__}: {error}"
        log.lines([f"Nothing could be cleared away: {what}"])
    log.close()
    interrupts.disarm()
    interrupts.ignore()
    sys.exit(ExitCode.PASS)
