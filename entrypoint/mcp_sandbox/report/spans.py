"""Lines of text with their tone, which a front door prints in colour or plain.

Text in a span is safe for a terminal already: who makes one passes foreign text through
``escape.terminal``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Tone(StrEnum):
    """How a piece of a line is meant; the first values are those of classes and verdicts."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    NOTE = "note"
    PASS = "pass"  # noqa: S105 - a tone, not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"
    PLAIN = ""
    STRONG = "strong"
    REMOVED = "removed"
    ADDED = "added"


@dataclass(frozen=True)
class Span:
    """A piece of one line."""

    text: str
    tone: Tone = Tone.PLAIN


Line = tuple[Span, ...]


def line(*parts: str | Span) -> Line:
    """A line of spans and plain texts."""
    return tuple(Span(part) if isinstance(part, str) else part for part in parts)


def plain(spans: Line) -> str:
    """The line without its tones."""
    return "".join(span.text for span in spans)
