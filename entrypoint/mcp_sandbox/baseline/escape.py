r"""What does not print or takes no room, as its ``\u`` escape in a JSON text."""

from __future__ import annotations

import re

_UNSEEN = frozenset(
    {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0}
    | set(range(0x180B, 0x1810))
    | set(range(0xFE00, 0xFE10))
    | set(range(0xE0000, 0xE1000))
)
"""Characters of printing classes that show nothing: fillers, joiners, variation selectors (Unicode,
Default_Ignorable_Code_Point) and the empty Braille pattern."""
_PLAIN = re.compile(r"[ -~\n]*")


def shown(text: str) -> str:
    r"""A JSON text with ``\u`` escapes for what would not be seen."""
    if _PLAIN.fullmatch(text):
        return text
    return "".join(
        one if (one.isprintable() and ord(one) not in _UNSEEN) or one == "\n" else _escaped(one)
        for one in text
    )


def _escaped(one: str) -> str:
    units = one.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at] << 8 | units[at + 1]:04x}" for at in range(0, len(units), 2))
