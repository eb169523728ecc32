"""Which address each name was given: one per name, public-looking, never used twice."""

from __future__ import annotations

import ipaddress
from itertools import count

MAX_NAMES = 10_000

_BLOCKS_V4 = tuple(
    int(ipaddress.IPv4Address(block))
    for block in ("46.29.0.0", "62.113.0.0", "77.83.0.0", "91.201.0.0", "109.71.0.0", "185.117.0.0")
)
"""First addresses of /16 blocks. Clients refuse private, test and documentation ranges, and what
they would have done is then not seen; nothing is ever sent to these."""

_BLOCKS_V6 = tuple(
    int(ipaddress.IPv6Address(block)) for block in ("2a0c:5a00::", "2a09:8280::", "2403:5800::")
)

REBIND = "rebind-"
"""How a name begins that has a public address at first, and the loopback one from then on."""

INTERNAL = {"metadata.google.internal": "169.254.169.254", "metadata.goog": "169.254.169.254"}
"""Names that have one address wherever they have any. A client that looks at the address before it
connects refuses this one, and would be led on by a public one. None has a version 6."""


class Names:
    """Gives out addresses in the order of asking; the same questions get the same answers."""

    def __init__(self, *, ipv6: bool) -> None:
        self.ipv6 = ipv6
        self._numbers: dict[str, int] = {}
        self._names: dict[str, str] = {}
        self._next = count()
        self._rebound: set[tuple[str, int]] = set()

    def address(self, name: str, version: int) -> str:
        """The address of ``name`` in IP ``version`` 4 or 6; empty when there are too many names."""
        name = name.lower()
        if name == "localhost" or name.endswith(".localhost"):
            return _LOOPBACK[version]
        if name in INTERNAL and version == _V4:
            return INTERNAL[name]
        number = self._numbers.get(name)
        if number is None:
            if len(self._numbers) >= MAX_NAMES:
                return ""
            number = self._numbers[name] = next(self._next)
            for address in (_v4(number), _v6(number)):
                self._names[address] = name
        if name.startswith(REBIND):
            if (name, version) in self._rebound:
                return _LOOPBACK[version]
            self._rebound.add((name, version))
        return _FORMS[version](number)

    def name(self, address: str) -> str:
        """The name that ``address`` was given to, else the address itself."""
        return self._names.get(address, address)


def _v4(number: int) -> str:
    # 254 in each /24, spread over the blocks; the third byte begins at 16 to look like a host's.
    row, block = divmod(number, len(_BLOCKS_V4))
    third, fourth = divmod(row, 254)
    return str(ipaddress.IPv4Address(_BLOCKS_V4[block] + ((third + 16) << 8) + fourth + 1))


def _v6(number: int) -> str:
    row, block = divmod(number, len(_BLOCKS_V6))
    return str(ipaddress.IPv6Address(_BLOCKS_V6[block] + (0x17 << 64) + row + 1))


_V4 = 4
_LOOPBACK = {4: "127.0.0.1", 6: "::1"}
_FORMS = {4: _v4, 6: _v6}
