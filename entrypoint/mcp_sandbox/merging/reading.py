"""Files of other machines, and what of a ``report.json`` a table needs."""

from __future__ import annotations

import dataclasses
import json
import os
import stat
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from mcp_sandbox.errors import ReportUnreadable
from mcp_sandbox.merging import canonical
from mcp_sandbox.model import RISK_ORDER, RiskClass, ToolOutcome, Verdict
from mcp_sandbox.model.answer import SCHEMA_VERSION, Report
from mcp_sandbox.model.fleet import Server

MAX_REPORT = 256 * 2**20
"""Bytes of a ``report.json``; what a scan writes has no more."""
MAX_SHOWN = 5
"""Findings, changes and reasons that a server is shown with."""
MAX_TEXT = 300
"""Characters of each."""

_KEPT = frozenset(
    {
        *("coverage", "drift", "error", "findings", "multiplier_class", "schema_version"),
        *("score", "verdict"),
    }
)
_PARTS = {"baseline": ("state",), "observations": ("image",)}
"""Keys of which only some keys are kept."""
_NAMES = frozenset(field.name for field in dataclasses.fields(Report))

_Finding = TypedDict(
    "_Finding",
    {"rule": str, "class": RiskClass, "subject": str, "message": str, "suppressed": str},
)


class _Tool(TypedDict):
    outcome: ToolOutcome


class _Coverage(TypedDict):
    tools: dict[str, _Tool]
    scanners: dict[str, str]
    missing: list[str]


class _Image(TypedDict):
    reference: str
    id: str


class _Observations(TypedDict):
    image: _Image


class _Baseline(TypedDict):
    state: str


class _Report(TypedDict):
    verdict: Verdict
    score: float | None
    multiplier_class: str
    findings: list[_Finding]
    drift: list[_Finding] | None
    coverage: _Coverage
    baseline: _Baseline | None
    observations: _Observations | None
    error: str


@cache
def _adapter() -> TypeAdapter[_Report]:
    return TypeAdapter(_Report)


@contextmanager
def opened(path: Path, limit: int) -> Iterator[IO[bytes]]:
    """A regular file of at most ``limit`` bytes, no link, no pipe.

    Raises ``ReportUnreadable`` with one sentence that does not name the folder, also for what goes
    wrong while it is read.
    """
    try:
        # A named pipe would keep a reader waiting for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            os.close(descriptor)
            raise ReportUnreadable(f"{path.name} is no file.")
        with os.fdopen(descriptor, "rb") as file:
            if facts.st_size > limit:
                raise ReportUnreadable(
                    f"{path.name} has {facts.st_size} bytes, and at most {limit} are read."
                )
            yield file
    except FileNotFoundError as error:
        raise ReportUnreadable(f"There is no {path.name}.") from error
    except OSError as error:
        why = "it is a link" if path.is_symlink() else error.strerror
        raise ReportUnreadable(f"{path.name} cannot be read: {why}.") from error


def whole(path: Path, limit: int) -> bytes:
    """All of it. Raises as ``opened``."""
    with opened(path, limit) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ReportUnreadable(f"{path.name} has more than {limit} bytes.")
    return data


def server(folder: Path, name: str) -> Server:
    """What the report in ``folder`` comes to. Raises ``ReportUnreadable``, as ``opened`` does."""
    with opened(folder / "report.json", MAX_REPORT) as file:
        kept = canonical.keys(file, _KEPT, _PARTS)
    _check(kept)
    text = b",".join(b'"%b":%b' % (key.encode(), value) for key, value in sorted(kept.items()))
    try:
        read = _adapter().validate_json(b"{%b}" % text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:MAX_TEXT]
        raise ReportUnreadable(
            f"report.json is damaged at {where or 'its top'}: {first['msg'][:MAX_TEXT]}."
        ) from error
    return _summed(read, folder, name)


def _check(kept: dict[str, bytes]) -> None:
    if "schema_version" not in kept:
        raise ReportUnreadable("report.json is not a report as `mcp-sandbox scan` writes it.")
    version = kept["schema_version"].decode("ascii", "replace")
    if version != str(SCHEMA_VERSION):
        raise ReportUnreadable(
            f"report.json has schema version {version[:20]}, this program reads version "
            f"{SCHEMA_VERSION}."
        )
    if wrong := sorted(_NAMES ^ kept.keys()):
        word = "no" if wrong[0] in _NAMES else "a strange key"
        raise ReportUnreadable(f"report.json is damaged: it has {word} {wrong[0][:100]}.")


def _summed(read: _Report, folder: Path, name: str) -> Server:
    drift = [one for one in read["drift"] or () if not one["suppressed"]]
    live = [one for one in read["findings"] if not one["suppressed"]]
    everything = sorted([*live, *drift], key=lambda one: RISK_ORDER.index(one["class"]))
    counts = Counter(one["class"].value for one in everything)
    outcomes = [one["outcome"] for one in read["coverage"]["tools"].values()]
    image = read["observations"]["image"] if read["observations"] else None
    return Server(
        name=name,
        folder=shown(folder),
        verdict=read["verdict"],
        score=read["score"],
        multiplier_class=_cut(read["multiplier_class"]),
        classes={one.value: counts[one.value] for one in RISK_ORDER},
        drift=(
            None
            if read["drift"] is None
            else sum(one["class"] is not RiskClass.NOTE for one in drift)
        ),
        baseline=_cut(read["baseline"]["state"]) if read["baseline"] else "",
        worst=tuple(_line(one) for one in everything[:MAX_SHOWN]),
        changed=tuple(
            _line(one)
            for one in sorted(drift, key=lambda one: RISK_ORDER.index(one["class"]))[:MAX_SHOWN]
        ),
        tools=len(outcomes),
        called=sum(one is ToolOutcome.CALLED for one in outcomes),
        missing=_few(read["coverage"]["missing"]),
        scanners={
            _cut(tool): _cut(state)
            for tool, state in sorted(read["coverage"]["scanners"].items())[:20]
        },
        reference=_cut(image["reference"]) if image else "",
        image=_cut(image["id"]) if image else "",
        error=_cut(read["error"]),
    )


def shown(folder: Path) -> str:
    """A path as text that JSON can carry."""
    return str(folder).encode("utf-8", "backslashreplace").decode()


def _line(finding: Any) -> str:
    return _cut(f"{finding['class'].value} {finding['rule']} {finding['subject']}: ") + _cut(
        finding["message"]
    )


def _few(texts: list[str]) -> tuple[str, ...]:
    kept = tuple(_cut(text) for text in texts[:MAX_SHOWN])
    more = len(texts) - len(kept)
    return (*kept, f"{more} more") if more else kept


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT - 1]}…"


def dumped(one: Server) -> bytes:
    """One line of JSON, ASCII only, without its newline."""
    text = json.dumps(dataclasses.asdict(one), sort_keys=True, allow_nan=False)
    return text.replace("\x7f", "\\u007f").encode("ascii")
