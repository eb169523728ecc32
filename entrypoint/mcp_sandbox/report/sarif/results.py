"""The results of a run, and the lines of the checkout that they stand on."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import sarif_om as om

from mcp_sandbox.model import Finding, Location
from mcp_sandbox.model.answer import Report
from mcp_sandbox.report import escape
from mcp_sandbox.report.rolling_hash import line_hashes
from mcp_sandbox.report.sarif.rules import LEVEL, MAX_TEXT

MAX_SUBJECTS = 20
BLANK = "(blank)"
"""In place of a text of blanks, with which GitHub would refuse the file."""
NOWHERE = Location("Dockerfile", 1, "nothing better is known")

ReadFile = Callable[[str], bytes | None]
"""The content of a file of the checkout by its path; ``None`` when it cannot be had."""


def fallback_of(report: Report) -> Location:
    """The line of the whole server."""
    definitions = report.observations.definitions if report.observations else {}
    return _usable(definitions.get("")) or NOWHERE


def located(finding: Finding, fallback: Location) -> Location:
    """The line that a finding is shown on."""
    return _usable(finding.location) or fallback


def _usable(location: Location | None) -> Location | None:
    """``None`` for a location that does not name a line of the checkout."""
    if location is None or location.line < 1:
        return None
    try:
        escape.uri(location.path)
    except ValueError:
        return None
    return location


def result(
    group: list[Finding],
    index: dict[str, int],
    fallback: Location,
    lines: Lines,
    *,
    state: str = "",
) -> om.Result:
    """The findings of one rule on one line, the worst first, as one result.

    ``state``: its ``baselineState``. A suppressed finding gets its justification.
    """
    worst = group[0]
    where = located(worst, fallback)
    fingerprints = {"mcpSandbox/v1": worst.fingerprint}
    line_hash = lines.hash(where)
    if line_hash is not None:
        fingerprints["primaryLocationLineHash"] = line_hash
    subjects = list(dict.fromkeys(finding.subject for finding in group))
    return om.Result(
        rule_id=worst.rule,
        rule_index=index[worst.rule],
        level=LEVEL[worst.class_],
        message=om.Message(text=_message(worst, subjects)),
        locations=[
            om.Location(
                physical_location=om.PhysicalLocation(
                    artifact_location=om.ArtifactLocation(uri=escape.uri(where.path)),
                    region=lines.region(where),
                ),
                logical_locations=[
                    om.LogicalLocation(
                        fully_qualified_name=escape.terminal(f"mcp:{subject}", limit=MAX_TEXT)
                    )
                    for subject in subjects[:MAX_SUBJECTS]
                ],
            )
        ],
        partial_fingerprints=fingerprints,
        baseline_state=state or None,
        suppressions=_suppressions(worst),
        properties={
            "class": worst.class_.value,
            "confidence": worst.confidence.value,
            "evidence": worst.evidence.value,
            "findings": len(group),
            "placedBy": escape.terminal(where.why, limit=MAX_TEXT),
        },
    )


def _suppressions(finding: Finding) -> list[om.Suppression] | None:
    if not finding.suppressed:
        return None
    why = escape.terminal(finding.suppressed, limit=MAX_TEXT)
    return [om.Suppression(kind="external", state="accepted", justification=why)]


def _message(worst: Finding, subjects: list[str]) -> str:
    said = worst.message if worst.message.strip() else BLANK
    others = subjects[1 : 1 + MAX_SUBJECTS]
    if not others:
        return escape.sarif_message(said)
    more = len(subjects) - 1 - len(others)
    tail = f" The same here: {', '.join(others)}" + (f" and {more} more." if more else ".")
    end = escape.sarif_message(tail, limit=escape.SARIF_LIMIT // 2)
    return escape.sarif_message(said, limit=escape.SARIF_LIMIT - len(end)) + end


class Lines:
    """Hashes and columns of lines; each file is read and hashed once."""

    def __init__(self, read: ReadFile) -> None:
        self._read = cache(read)
        self._hashes = cache(self._hashes_of)
        self._texts = cache(self._texts_of)

    def _hashes_of(self, path: str) -> list[str]:
        data = self._read(path)
        return [] if data is None else line_hashes(data)

    def _texts_of(self, path: str) -> list[bytes]:
        """Only LF, CR and CRLF end a line, as GitHub counts."""
        data = self._read(path)
        if data is None:
            return []
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")

    def hash(self, where: Location) -> str | None:
        """As GitHub computes it; ``None`` where there is no such line."""
        hashes = self._hashes(where.path)
        return hashes[where.line - 1] if where.line <= len(hashes) else None

    def region(self, where: Location) -> om.Region:
        """The whole line, without its indentation; columns count UTF-16 units from 1."""
        texts = self._texts(where.path)
        known = where.line <= len(texts)
        text = texts[where.line - 1].decode("utf-8", "replace") if known else ""
        if not text.strip():
            return om.Region(start_line=where.line)
        return om.Region(
            start_line=where.line,
            start_column=len(text) - len(text.lstrip()) + 1,
            end_line=where.line,
            end_column=len(text.rstrip().encode("utf-16-le", "replace")) // 2 + 1,
        )
