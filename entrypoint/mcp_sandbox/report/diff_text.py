"""What changed since the baseline, as lines for people.

Words that were removed and added are marked so that they can be told apart without colour,
``[-old-]{+new+}``; a text that brings such marks itself has them broken by an escape.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from mcp_sandbox import words
from mcp_sandbox.model import Finding, RiskClass
from mcp_sandbox.model.locked import Baseline, BaselineState, Change, Part
from mcp_sandbox.report.diff import MAX_SHOWN, Entry, View, is_prose
from mcp_sandbox.report.escape import terminal
from mcp_sandbox.report.spans import Line, Span, Tone, line

MAX_TEXT = 4_000
"""Characters shown of one text, or of one word diff."""
CONTEXT = 80
"""Characters shown of what stayed, on either side of a change."""
MAX_VALUE = 300
"""Characters shown of a value that is no prose."""

MAX_FINDINGS = 5
"""Findings shown of one change."""

_MARKS = (("[-", "[\\x2d"), ("-]", "\\x2d]"), ("{+", "{\\x2b"), ("+}", "\\x2b}"))


# --- before and after -----------------------------------------------------------------------------


def marked(change: Change) -> Iterator[Span]:
    """The word diff of a change, safe for a terminal, with marks; newlines are kept.

    What stayed is shown near what changed only; at most ``MAX_TEXT`` characters.
    """
    room = MAX_TEXT
    pieces = words.diff(change.before, change.after)
    for number, piece in enumerate(pieces):
        if room <= 0:
            left = sum(len(one.text) for one in pieces[number:])
            yield Span(f"… ({left} more characters)", Tone.NOTE)
            return
        if piece.kind is words.Kind.SAME:
            shown = _near(piece.text, first=number == 0, last=number == len(pieces) - 1)
            yield Span(_safe(shown, limit=room))
        elif piece.kind is words.Kind.REMOVED:
            shown = piece.text
            yield Span(f"[-{_safe(shown, limit=room)}-]", Tone.REMOVED)
        else:
            shown = piece.text
            yield Span(f"{{+{_safe(shown, limit=room)}+}}", Tone.ADDED)
        room -= len(shown)


def _near(text: str, *, first: bool, last: bool) -> str:
    """What stayed, without what is far from a change."""
    if len(text) <= 3 * CONTEXT:
        return text
    head, tail = "" if first else text[:CONTEXT], "" if last else text[-CONTEXT:]
    left = len(text) - len(head) - len(tail)
    return f"{head}…({left} characters as before)…{tail}"


def _safe(text: str, *, limit: int) -> str:
    shown = terminal(text, lines=True, limit=limit)
    for mark, broken in _MARKS:
        shown = shown.replace(mark, broken)
    return shown


def sides(change: Change) -> Iterator[Line]:
    """Before and after of a change, a line or more each, marked ``-`` and ``+``."""
    limit = MAX_TEXT if change.part is Part.ITEM else MAX_VALUE
    if change.before:
        shown = terminal(change.before, limit=limit)
        yield line(Span(f"- {shown}", Tone.REMOVED))
    if change.after:
        shown = terminal(change.after, limit=limit)
        yield line(Span(f"+ {shown}", Tone.ADDED))


def told(change: Change) -> Iterator[Line]:
    """Before and after as lines: a word diff of prose, else the two values."""
    if not is_prose(change):
        yield from sides(change)
        return
    row: list[Span] = []
    for span in marked(change):
        first, *rest = span.text.split("\n")
        row.append(Span(first, span.tone))
        for text in rest:
            yield tuple(row)
            row = [Span(text, span.tone)]
    yield tuple(row)


# --- a terminal -----------------------------------------------------------------------------------


def compared_with(baseline: Baseline | None) -> str:
    """One sentence: what counted, and from where; safe for a terminal."""
    if baseline is None:
        return "Nothing was compared: the run did not come to it."
    origin = terminal(baseline.origin, limit=MAX_VALUE)
    if baseline.state is BaselineState.OFF:
        return "Nothing was compared, as asked."
    # Why there is none names the place; without it the place has to do.
    why = terminal(baseline.why, limit=MAX_VALUE) if baseline.why else f"{origin}."
    if baseline.state is BaselineState.MISSING:
        return f"There is no baseline: {why}"
    if baseline.state is BaselineState.UNREADABLE:
        return f"Nobody can say what the baseline is: {why}"
    return f"Compared with {origin}."


def lines(shown: View) -> Iterator[Line]:
    """The whole view for a terminal."""
    yield line(compared_with(shown.baseline))
    if shown.baseline is None or shown.baseline.state is not BaselineState.USED:
        yield from (finding_line(one) for one in shown.others)
        return
    for subject, entries in groupby(shown.entries[:MAX_SHOWN], lambda one: one.change.subject):
        yield line()
        yield line(Span(terminal(subject, limit=MAX_VALUE), Tone.STRONG))
        for entry in entries:
            yield entry_line(entry)
            for row in told(entry.change):
                yield line("      ", *row)
            yield from _beneath(entry)
    if len(shown.entries) > MAX_SHOWN:
        yield line(f"… {len(shown.entries) - MAX_SHOWN} more changes")
    if shown.others:
        yield line()
        yield from (finding_line(one) for one in shown.others[:MAX_SHOWN])
        if len(shown.others) > MAX_SHOWN:
            yield line(f"… {len(shown.others) - MAX_SHOWN} more findings")
    yield line()
    yield line(tally(shown))


def tally(shown: View) -> str:
    """How many changes there are, and how many findings fail a gate on drift."""
    if not shown.entries and not shown.others:
        return "Nothing changed."
    changes = len(shown.entries)
    verb = "change" if changes == 1 else "changes"
    bad = shown.regressions
    return f"{changes} {verb}, {bad} {'regression' if bad == 1 else 'regressions'}."


def entry_line(entry: Entry) -> Line:
    """Class and question of one change."""
    question = entry.question.said(lambda name: f"`{terminal(name)}`")
    return line(_class(entry), question)


def _class(entry: Entry) -> Span:
    if entry.class_ is not None:
        return Span(f"  {entry.class_.value:<8}  ", Tone(entry.class_.value))
    return Span(f"  {'accepted' if entry.accepted else 'news':<8}  ", Tone.NOTE)


def _beneath(entry: Entry) -> Iterator[Line]:
    """What the rules say of a change: all of their words where it is more than a note."""
    for finding in entry.findings[:MAX_FINDINGS]:
        place = f"  {finding.location.path}:{finding.location.line}" if finding.location else ""
        why = f"  accepted: {finding.suppressed}" if finding.suppressed else ""
        seen = f"  {finding.seen[0]}" if finding.seen else ""
        said = terminal(f"{finding.rule}  {finding.evidence.value}{seen}{place}{why}")
        yield line("      ", Span(said, Tone.NOTE))
        if finding.class_ is not RiskClass.NOTE:
            message = terminal(finding.message, limit=MAX_VALUE)
            yield line("        ", Span(message, Tone.NOTE))
    if len(entry.findings) > MAX_FINDINGS:
        yield line("      ", f"… {len(entry.findings) - MAX_FINDINGS} more findings")


def finding_line(finding: Finding) -> Line:
    """A finding about no single change, on one line."""
    class_ = "accepted" if finding.suppressed else finding.class_.value
    tone = Tone.NOTE if finding.suppressed else Tone(finding.class_.value)
    return line(
        Span(f"  {class_:<8}  ", tone),
        Span(f"{terminal(finding.rule)}  ", Tone.STRONG),
        terminal(finding.message, limit=MAX_VALUE),
    )


def block(change: Change) -> str:
    """Before and after as the text of a code block; safe for a terminal, not yet fenced."""
    return "\n".join("".join(span.text for span in row) for row in told(change))
