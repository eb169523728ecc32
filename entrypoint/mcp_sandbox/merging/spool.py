"""What was read of each server, on disk, so that it can be taken up again in another order."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from pydantic import TypeAdapter

from mcp_sandbox.merging.alerts import Run
from mcp_sandbox.merging.reading import dumped
from mcp_sandbox.model import Verdict
from mcp_sandbox.model.fleet import Server

_ADAPTER: TypeAdapter[Server] = TypeAdapter(Server)

_RANK = {Verdict.FAIL: 0, Verdict.ERROR: 2, Verdict.INCONCLUSIVE: 3, Verdict.PASS: 4}
UNREADABLE = 1
"""Rank of what could not be read, or not all of it: it may hide a failure."""


def rank(server: Server) -> tuple[int, int, int, int, int, float, str]:
    """Sort key: the worst server first; equal only for one and the same name."""
    own = UNREADABLE if server.verdict is None else _RANK[server.verdict]
    return (
        min(own, UNREADABLE) if server.problem else own,
        -server.classes.get("critical", 0),
        -server.classes.get("high", 0),
        -(server.drift or 0),
        -server.classes.get("medium", 0),
        -1.0 if server.score is None else server.score,
        server.name,
    )


@dataclass(frozen=True)
class Stored:
    """One run of a server, packed."""

    category: str
    results: int
    packed: bytes

    @property
    def data(self) -> bytes:
        """Its JSON, on one line."""
        return zlib.decompress(self.packed)


def store(run: Run) -> Stored:
    """Pack a run. Fast packing gives an upper bound of what any other would come to."""
    return Stored(run.category, run.results, zlib.compress(run.dumped(), 1))


@dataclass(frozen=True)
class _Index:
    """Where a server's line and its runs stand in the file."""

    key: tuple[int, int, int, int, int, float, str]
    at: int
    length: int
    runs: tuple[tuple[str, int, int], ...]
    """Category, results, bytes; one after another behind the line."""


class Spool:
    """A file without a name, and a few hundred bytes of memory per server."""

    def __init__(self, folder: Path) -> None:
        """Raises ``OSError`` when nothing can be written in ``folder``."""
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by __exit__
        self._index: list[_Index] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def add(self, server: Server, runs: Sequence[Stored]) -> None:
        """Keep one server. Raises ``OSError``."""
        line = dumped(server)
        at = self._file.tell()
        self._file.write(line)
        for run in runs:
            self._file.write(run.packed)
        packed = tuple((run.category, run.results, len(run.packed)) for run in runs)
        self._index.append(_Index(rank(server), at, len(line), packed))

    def sort(self) -> None:
        """Worst first, from now on."""
        self._index.sort(key=lambda one: one.key)

    def lines(self) -> Iterator[bytes]:
        """Each server as a line of JSON."""
        for one in self._index:
            self._file.seek(one.at)
            yield self._file.read(one.length)

    def servers(self) -> Iterator[Server]:
        """Each server."""
        return map(_ADAPTER.validate_json, self.lines())

    def runs(self) -> Iterator[Stored]:
        """The runs of all of them."""
        for one in self._index:
            at = one.at + one.length
            for category, results, length in one.runs:
                self._file.seek(at)
                yield Stored(category, results, self._file.read(length))
                at += length
