"""The relay's front door: ``python -m mcp_sandbox.warden.relay``."""

from __future__ import annotations

import sys

from mcp_sandbox.frames import NoFrames
from mcp_sandbox.warden.relay import Relay


def main() -> int:
    """Relay until standard input ends; 1 when what came in were no frames."""
    try:
        Relay(0, 1).run()
    except NoFrames:
        return 1
    except BrokenPipeError:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
