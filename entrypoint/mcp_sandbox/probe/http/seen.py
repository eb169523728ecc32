"""What HTTP alone shows of a conversation: statuses, headers, breaches, and how much came."""

from __future__ import annotations

import threading
from collections import Counter

from mcp_sandbox.model import Breach, BreachKind, HttpFacts, Place
from mcp_sandbox.probe.http.exchange import Broken, Headers
from mcp_sandbox.probe.wire import MAX_LINE, MAX_SESSION, sample

MAX_BREACHES = 100
"""Kinds of breach, each with its detail, that are kept."""
MAX_PRINTED = 65536
MAX_KEPT_HEADERS = 64


class Seen:
    """Filled by every thread of a conversation."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._guard = threading.Lock()
        self._breaches: dict[tuple[BreachKind, str], Breach] = {}
        self._bytes = 0
        self._printed = bytearray()
        self._opening: Headers = ()
        self.statuses: Counter[int] = Counter()
        self.stream_status = 0
        self.resumed = 0

    def facts(self, session: str) -> HttpFacts:
        """All of it so far."""
        return HttpFacts(
            place=self._place,
            session=session,
            headers=self._opening,
            statuses={str(code): count for code, count in sorted(self.statuses.items())},
            stream_status=self.stream_status,
            resumed=self.resumed,
            printed=bytes(self._printed).decode("utf-8", "replace"),
        )

    @property
    def breaches(self) -> tuple[Breach, ...]:
        """Breaches of HTTP, beside those of the conversation."""
        with self._guard:
            return tuple(self._breaches.values())

    def breach(self, kind: BreachKind, detail: str, data: bytes = b"") -> None:
        """Note one; the first of its kind and detail is kept, the others are counted."""
        with self._guard:
            known = self._breaches.get((kind, detail))
            count = 1 if known is None else known.count + 1
            if known is not None or len(self._breaches) < MAX_BREACHES:
                self._breaches[kind, detail] = Breach(kind, detail, sample(data), count)

    def opened(self, headers: Headers) -> None:
        """Keep the headers of the first answer."""
        self._opening = self._opening or headers[:MAX_KEPT_HEADERS]

    def read(self, size: int) -> None:
        """Count bytes of bodies. Raises ``Broken`` when they are more than one may send."""
        self._bytes += size
        if self._bytes > MAX_SESSION:
            self.breach(BreachKind.OVERSIZED_LINE, f"more than {MAX_SESSION} bytes of bodies")
            raise Broken("more bytes than one conversation may hold")

    def too_long(self) -> Broken:
        """A body is longer than any line may be; the error to raise."""
        why = f"a body of more than {MAX_LINE} bytes"
        self.breach(BreachKind.OVERSIZED_LINE, why)
        return Broken(why)

    def printed(self, data: bytes) -> None:
        """Keep the beginning of what the server prints."""
        self._printed += data[: max(0, MAX_PRINTED - len(self._printed))]
