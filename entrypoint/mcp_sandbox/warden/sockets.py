"""What listens in this network namespace, as the kernel says."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Collection
from pathlib import Path

_LISTEN = "0A"
_TABLES = (("inet", "/proc/net/tcp"), ("inet6", "/proc/net/tcp6"))


def listening(*, but: Collection[int] = ()) -> list[tuple[str, str, int]]:
    """``(family, address, port)`` of every TCP socket that listens here (``proc(5)``).

    ``but``: ports of our own.
    """
    found = []
    for family, path in _TABLES:
        try:
            rows = Path(path).read_text("ascii").splitlines()[1:]
        except OSError:
            continue  # a kernel without IPv6
        for row in rows:
            words = row.split()
            if words[3:4] == [_LISTEN]:
                address, _, port = words[1].partition(":")
                found.append((family, _address(address), int(port, 16)))
    return sorted({one for one in found if one[2] not in but})


def _address(text: str) -> str:
    """The kernel prints each 32-bit word in the machine's byte order."""
    words = [int(text[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(text), 8)]
    return str(ipaddress.ip_address(b"".join(words)))
