"""The line fingerprints that GitHub's upload step computes, so that ours agree with them.

GitHub keeps an alert alive by ``primaryLocationLineHash``. The upload step computes one for each
result and warns about every result that brings another value, so the value must be the same or
absent. The scheme, as its public implementation (``github/codeql-action``, fingerprints) has it:

* The file is a sequence of UTF-16 code units. Spaces and tabs are left out, each line ending counts
  as one line feed, 0xFFFF marks the end, and zeros follow.
* A line is fingerprinted by the 100 units from its first one on, whatever line they stand in: they
  are the digits of a number to the base 37, taken modulo 2**64.
* It is written in hexadecimal, followed by a colon and by how many lines of the file, up to and
  including this one, have that number.
"""

from __future__ import annotations

import sys
from array import array
from collections import Counter

WINDOW = 100
BASE = 37
MODULUS = 2**64
END = 0xFFFF

_SPACE, _TAB, _LF, _CR = 0x20, 0x09, 0x0A, 0x0D


def line_hashes(data: bytes) -> list[str]:
    """The fingerprint of each line of a file; index 0 is line 1. An empty file has one line."""
    units, starts = _units(data)
    # prefix[i] is the number written by the first i digits; a window is a difference of two.
    prefix = [0]
    for unit in units:
        prefix.append((prefix[-1] * BASE + unit) % MODULUS)
    shift = pow(BASE, WINDOW, MODULUS)
    seen: Counter[int] = Counter()
    hashes = []
    for start in starts:
        value = (prefix[start + WINDOW] - prefix[start] * shift) % MODULUS
        seen[value] += 1
        hashes.append(f"{value:x}:{seen[value]}")
    return hashes


def _units(data: bytes) -> tuple[list[int], list[int]]:
    """The file's significant code units with marker and zeros, and where each line begins."""
    text = array("H")
    order = "utf-16-le" if sys.byteorder == "little" else "utf-16-be"
    text.frombytes(data.decode("utf-8", "replace").encode(order))
    units: list[int] = []
    starts = [0]
    after_cr = False
    for unit in text:
        # As upstream has it, a blank after a carriage return ends its claim on the line feed.
        if unit in (_SPACE, _TAB) or (after_cr and unit == _LF):
            after_cr = False
            continue
        after_cr = unit == _CR
        units.append(_LF if after_cr else unit)
        if units[-1] == _LF:
            starts.append(len(units))
    return [*units, END, *[0] * WINDOW], starts
