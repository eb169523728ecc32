"""A server of notes, and twenty versions of it that differ from the first in one thing each.

Usage: ``server.py VERSION``, or ``server.py --list`` for the names of all of them; ``base`` is the
first. What a reviewer would say of each change stands in ``expect.toml``. Every version is started
from the same files: what one reads as it starts is no difference between two.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

from notes import Notes
from versions import VERSIONS


def main() -> None:
    """Serve the version that the command line names."""
    if sys.argv[1:] == ["--list"]:
        print("\n".join(VERSIONS))
        return
    if len(sys.argv) != 2 or sys.argv[1] not in VERSIONS:
        raise SystemExit(f"usage: server.py VERSION, one of: {' '.join(VERSIONS)}")
    server = Notes()
    VERSIONS[sys.argv[1]](server)
    server.serve()


if __name__ == "__main__":
    main()
