"""A server that misbehaves in one chosen way. Standard library only.

Usage: ``server.py MODE``, or ``server.py --list`` for the names of all modes. Each mode is a
function in ``modes/``; what a client has to make of it stands in ``expect.toml``.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from registry import MODES, Hostile

for family in sorted((Path(__file__).parent / "modes").glob("*.py")):
    importlib.import_module(f"modes.{family.stem}")


def main() -> None:
    """Run the mode that the command line names."""
    if sys.argv[1:] == ["--list"]:
        print("\n".join(MODES))
        return
    if len(sys.argv) != 2 or sys.argv[1] not in MODES:
        raise SystemExit(f"usage: server.py MODE, one of: {' '.join(MODES)}")
    server = Hostile(sys.argv[1])
    MODES[sys.argv[1]](server)
    server.serve()


if __name__ == "__main__":
    main()
