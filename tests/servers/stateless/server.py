"""A well-behaved server of the stateless era (2026-07-28); with ``dual`` it serves both eras.

Usage: ``server.py [dual]``
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from honest import FullServer, Speaks

if __name__ == "__main__":
    FullServer("stateless", Speaks(sys.argv[1] if sys.argv[1:] else "stateless")).serve()
