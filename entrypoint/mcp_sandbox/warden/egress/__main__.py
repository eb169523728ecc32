"""Starts the gateway: ``python -I -m mcp_sandbox.warden.egress --listen SOCKET --allow HOST:PORT``.

Prints ``ready`` once it listens; a failure to is exit code 3 with its reason on standard error.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from mcp_sandbox.endpoints import all_allowed
from mcp_sandbox.warden.egress.gateway import Gateway
from mcp_sandbox.warden.egress.splice import Bounds

_USUAL = Bounds()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mcp_sandbox.warden.egress", allow_abbrev=False)
    parser.add_argument("--listen", type=Path, required=True, metavar="SOCKET")
    parser.add_argument("--allow", action="append", required=True, metavar="HOST[:PORT]")
    parser.add_argument("--connections", type=int, default=_USUAL.connections)
    parser.add_argument("--bytes", type=int, default=_USUAL.total)
    parser.add_argument("--idle", type=float, default=_USUAL.idle, metavar="SECONDS")
    options = parser.parse_args()
    try:
        options.allow = all_allowed(tuple(options.allow))
    except ValueError as error:
        parser.error(f"--allow: {error}")
    return options


async def _serve(options: argparse.Namespace) -> None:
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    # The first process of a container gets no signal that it has no handler for.
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, done.set)
    bounds = Bounds(options.connections, options.bytes, options.idle)
    async with Gateway(options.listen, options.allow, bounds):
        print("ready", flush=True)  # noqa: T201 - a front door
        await done.wait()


def main() -> int:
    """The process; returns its exit code."""
    options = _arguments()
    try:
        asyncio.run(_serve(options))
    except OSError as error:
        print(f"egress: {error}", file=sys.stderr)  # noqa: T201 - a front door
        return 3
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
