"""A server that attacks those who watch it: the tracer, its log, the sink.

Usage: ``server.py MODE``, or ``server.py --list`` for the names of all modes. Each mode is a file
in ``modes/``; what has to come of every attack stands in ``expect.toml``.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from acting import serve

if __name__ == "__main__":
    serve(Path(__file__).parent)
