"""Reports of many servers joined: each is read once, and one is in memory at a time."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from mcp_sandbox.errors import OutputFailed, ReportUnreadable
from mcp_sandbox.merging import alerts, table
from mcp_sandbox.merging.files import JSON, MARKDOWN, PAGE, Folder, within, write_sarif
from mcp_sandbox.merging.matrix import MAX_JOBS
from mcp_sandbox.merging.places import SARIF, Found, Place
from mcp_sandbox.merging.reading import server, shown, whole
from mcp_sandbox.merging.spool import Spool, Stored
from mcp_sandbox.model import Verdict
from mcp_sandbox.model.fleet import Entry, Merged, Server, SourceKind

UNREADABLE = "unreadable"
MAX_LEFT_OUT = 1_000
"""Sentences kept of what was left out."""


class _Tally:
    """What is counted while the reports are read."""

    def __init__(self) -> None:
        self.verdicts: Counter[str] = Counter()
        self.problems = self.drifted = self.results = self.cut = 0
        self.left_out: list[str] = []

    def add(self, one: Server, cut: int) -> None:
        """Count one server, ``cut`` of whose results are in no SARIF file."""
        self.verdicts[one.verdict.value if one.verdict else UNREADABLE] += 1
        self.problems += bool(one.problem)
        self.drifted += bool(one.drift)
        self.results += one.results
        if cut:
            self.cut += 1
            if len(self.left_out) < MAX_LEFT_OUT:
                self.left_out.append(
                    f"{one.name}: {cut} results, by a limit of GitHub; its own report has them."
                )

    def said(self) -> tuple[str, ...]:
        """What was left out, a sentence each."""
        more = self.cut - len(self.left_out)
        return (*sorted(self.left_out), *([f"{more} servers more."] if more else []))

    def verdict(self, *, incomplete: bool) -> Verdict:
        """The worst of all; what cannot be read is worse than what could not be tested."""
        if self.verdicts[Verdict.FAIL.value]:
            return Verdict.FAIL
        if self.verdicts[Verdict.ERROR.value] or self.problems or incomplete:
            return Verdict.ERROR
        return Verdict.INCONCLUSIVE if self.verdicts[Verdict.INCONCLUSIVE.value] else Verdict.PASS


def join(
    found: Found, folder: Folder, *, expected: Collection[Entry] = (), keep_paths: bool = False
) -> Merged:
    """Write the merged files into ``folder``.

    ``expected`` are the servers of a list: one without a report counts as unreadable, and one that
    is a folder of this repository keeps its paths in the SARIF, as all do with ``keep_paths``.

    Raises ``OutputFailed``, and ``ReportUnreadable`` when no report can be read: then the files
    that say why are written all the same.
    """
    entries = {entry.name: entry for entry in expected}
    tally = _Tally()
    try:
        with Spool(folder.path) as spool:
            for place in found.places:
                _take(place, spool, tally, keep=keep_paths or _local(entries, place.name))
            for name in sorted(entries.keys() - {place.name for place in found.places}):
                missing = Server(name, "", problem="It is on the list and there is no report.")
                tally.add(missing, 0)
                spool.add(missing, ())
            spool.sort()
            merged = _written(spool, folder, found, tally, entries)
    except OSError as error:
        raise OutputFailed(f"{folder.path} could not be written: {error.strerror}.") from error
    if merged.servers == tally.verdicts[UNREADABLE]:
        raise ReportUnreadable(
            f"None of {merged.servers} reports could be read; {folder.path / JSON} says why.",
            next_step="Write them again with `mcp-sandbox scan`.",
        )
    return merged


def _local(entries: Mapping[str, Entry], name: str) -> bool:
    return name in entries and entries[name].kind is SourceKind.CONTEXT


def _written(
    spool: Spool, folder: Folder, found: Found, tally: _Tally, entries: Mapping[str, Entry]
) -> Merged:
    notes = list(found.notes)
    strange = sorted({place.name for place in found.places} - entries.keys()) if entries else []
    if strange:
        shown = ", ".join(strange[:10])
        notes.append(
            f"{len(strange)} servers with a report are not on the list: {shown}"
            f"{', …' if len(strange) > 10 else ''}."  # noqa: PLR2004
        )
    sarif = write_sarif(folder, spool.runs())
    if len(sarif) > MAX_JOBS:
        notes.append(
            f"There are {len(sarif)} SARIF files, and a matrix of a workflow takes {MAX_JOBS}: "
            "those of the worst servers come first."
        )
    names = [*(one.value for one in Verdict), UNREADABLE]
    merged = Merged(
        verdict=tally.verdict(incomplete=bool(found.incomplete)),
        servers=tally.verdicts.total(),
        verdicts={name: tally.verdicts[name] for name in names},
        problems=tally.problems,
        drifted=tally.drifted,
        sarif=sarif,
        results=tally.results,
        left_out=tally.said(),
        notes=tuple(notes),
        incomplete=found.incomplete,
    )
    with folder.new(MARKDOWN) as file:
        table.write_markdown(file, merged, spool.servers())
    with folder.new(PAGE) as file:
        table.write_page(file, merged, spool.servers())
    with folder.new(JSON) as file:
        table.write_json(file, merged, spool.lines())
    return merged


def _take(place: Place, spool: Spool, tally: _Tally, *, keep: bool) -> None:
    """Read one report folder."""
    try:
        read = server(place.folder, place.name)
    except ReportUnreadable as error:
        one = Server(place.name, shown(place.folder), problem=error.what)
        tally.add(one, 0)
        spool.add(one, ())
        return
    runs: list[Stored] = []
    cut = 0
    try:
        taken, cut = _runs(place.folder, read, keep=keep)
        for run in taken:
            packed, more = within(run)
            runs.append(packed)
            cut += more
    except ReportUnreadable as error:
        read = replace(read, problem=error.what)
        cut = 0
    read = replace(read, runs=len(runs), results=sum(run.results for run in runs))
    tally.add(read, cut)
    spool.add(read, runs)


def _runs(folder: Path, read: Server, *, keep: bool) -> tuple[tuple[alerts.Run, ...], int]:
    """The server's runs. Raises ``ReportUnreadable``."""
    path = folder / SARIF
    if read.verdict is Verdict.ERROR and not os.path.lexists(path):
        return (), 0  # a run that broke off has none: an empty one would close its alerts
    return alerts.runs(whole(path, alerts.MAX_BYTES), read.name, keep_paths=keep)
