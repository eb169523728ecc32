"""A well-behaved server of the handshake era: three tools on three pages, a prompt, resources."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from honest import FullServer

if __name__ == "__main__":
    FullServer("good").serve()
