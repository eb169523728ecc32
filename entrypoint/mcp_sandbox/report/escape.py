r"""One escape function per output, and nothing else that may print a stranger's text.

Every function takes text as the peer sent it and returns text that the named output shows as plain
characters. What a reader could not see is written out as an escape (``\x1b``, ``\u202e``), never
dropped. All are linear in the length of the text and bounded by ``limit`` characters of input,
after which they say how much is missing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import quote

INLINE_LIMIT = 1_000
FENCE_LIMIT = 8_000
FENCE_LINES = 200
SARIF_LIMIT = 1_000

_EMOJI_STYLE = 0xFE0F
_BLANK_OR_HIDDEN = frozenset(
    {
        0x034F,  # combining grapheme joiner
        *(0x115F, 0x1160, 0x3164, 0xFFA0),  # Hangul fillers
        *(0x17B4, 0x17B5),  # Khmer inherent vowels
        *range(0x180B, 0x1810),  # Mongolian variation selectors
        0x2800,  # blank Braille pattern
        *range(0xFE00, _EMOJI_STYLE),  # variation selectors; the sixteenth is in most emoji
        *range(0xE0000, 0xE1000),  # tags and further variation selectors
    }
)
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})
_BACKTICKS = re.compile("`+")
_OLD_COMMAND = re.compile(r"##\[")
"""GitHub's runner takes ``##[name]`` for a command wherever it stands in a line of the log."""
_COMMAND = re.compile(r"( *):(?=:)")
_COMMAND_DATA = str.maketrans({"%": "%25", "\r": "%0D", "\n": "%0A"})
_COMMAND_PROPERTY = _COMMAND_DATA | str.maketrans({":": "%3A", ",": "%2C"})


def _is_hidden(character: str) -> bool:
    return (
        unicodedata.category(character) in _HIDDEN_CATEGORIES
        or ord(character) in _BLANK_OR_HIDDEN
        # Blanks that are not the space: a reader takes them for one, a matcher does not.
        or (unicodedata.category(character) == "Zs" and character != " ")
    )


def _visible(text: str, keep: str = "") -> str:
    """``text`` with every control, format and otherwise invisible character written out."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode()
        if _is_hidden(character) and character not in keep
        else character
        for character in text
    )


def _cut(text: str, limit: int) -> tuple[str, str]:
    """The first ``limit`` characters, and a note of how many were left out."""
    more = len(text) - limit
    return (text, "") if more <= 0 else (text[:limit], f"… ({more} more characters)")


def terminal(text: str, *, lines: bool = False, limit: int = FENCE_LIMIT) -> str:
    r"""For a terminal or a log: no control sequence, no bidirectional or invisible character.

    A newline is written out as ``\n`` unless ``lines`` keeps it. ``##[`` is broken: anywhere in a
    line it is a command to GitHub's runner.
    """
    kept, note = _cut(text, limit)
    shown = _visible(kept.replace("\r\n", "\n"), keep="\n") if lines else _visible(kept)
    return _OLD_COMMAND.sub(r"#\\x23[", shown) + note


def workflow_line(text: str, *, limit: int = FENCE_LIMIT) -> str:
    r"""One line of a workflow's log that GitHub's runner takes for text.

    The runner takes a line that begins with ``::``, after any white space, for a command, and
    ``##[`` anywhere (actions/runner, ``ActionCommand.cs``); it ends lines at ``\r`` too. Here the
    only white space left is the space.
    """
    shown = terminal(text, limit=limit)
    start = _COMMAND.match(shown)
    return f"{start[1]}\\x3a{shown[start.end() :]}" if start else shown


def command_data(text: str) -> str:
    """The text after the second ``::`` of a workflow command of ours."""
    return terminal(text, lines=True).translate(_COMMAND_DATA)


def command_property(text: str) -> str:
    """The value of a property of a workflow command of ours."""
    return terminal(text).translate(_COMMAND_PROPERTY)


def markdown(text: str, *, limit: int = INLINE_LIMIT) -> str:
    """For one place inside a Markdown line, a table's cell too: a code span.

    In a code span there is no link, image, mention, reference, emoji code, emphasis or HTML. The
    backticks around it are longer than any run inside, there is no newline in it, and a pipe, which
    would end a cell even there, stands between spans as an entity. Empty text stays empty.
    """
    kept, note = _cut(text, limit)
    pieces = (_visible(kept) + note).split("|")
    return "<code>&#124;</code>".join(_code_span(piece) for piece in pieces)


def _code_span(text: str) -> str:
    if not text:
        return ""
    ticks = "`" * (_longest_run(text) + 1)
    # CommonMark takes one space off either end when both have one and there is more than spaces.
    pad = " " if text.strip(" ") and (text[0] in "` " or text[-1] in "` ") else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def fence(
    text: str, *, limit: int = FENCE_LIMIT, lines: int = FENCE_LINES, language: str = "text"
) -> str:
    """A fenced code block, to stand alone between blank lines at the margin.

    At most ``limit`` characters and ``lines`` lines of ``text``; what is left out is said inside.
    """
    kept, note = _cut(text.replace("\r\n", "\n"), limit)
    rows = _visible(kept, keep="\n\t").split("\n")
    if len(rows) > lines:
        note = f"… ({len(rows) - lines} more lines{' and ' + note[3:-1] if note else ''})"
        rows = rows[:lines]
    body = "\n".join([*rows, *([note] if note else [])])
    ticks = "`" * max(3, _longest_run(body) + 1)
    return f"{ticks}{language}\n{body}\n{ticks}"


def _longest_run(text: str) -> int:
    return max(map(len, _BACKTICKS.findall(text)), default=0)


def sarif_message(text: str, *, limit: int = SARIF_LIMIT) -> str:
    r"""For ``message.text``: no embedded link and no placeholder (SARIF 2.1.0, 3.11.5 and 3.11.6).

    ``\``, ``[`` and ``]`` get a backslash, ``{`` and ``}`` are doubled. The result has at most
    ``limit`` characters and never ends inside an escape.
    """
    kept: list[str] = []
    length = 0
    for piece in _sarif_pieces(_visible(text[:limit])):
        if length + len(piece) > limit - 1:
            return "".join(kept) + "…"
        kept.append(piece)
        length += len(piece)
    return "".join(kept) + ("…" if len(text) > limit else "")


def _sarif_pieces(text: str) -> Iterator[str]:
    for character in text:
        if character in "\\[]":
            yield "\\" + character
        elif character in "{}":
            yield character * 2
        else:
            yield character


def uri(path: str) -> str:
    """A relative ``/``-separated path as a URI reference, percent-encoded.

    Raises ``ValueError`` for a path that is empty, absolute, or has a ``.``, ``..`` or empty part:
    such a path does not name a file of the checkout.
    """
    parts = path.split("/")
    if any(part in {"", ".", ".."} for part in parts):
        raise ValueError(f"{path[:200]!r} is not a path inside the repository")
    # A colon is encoded too: in the first part it would read as a scheme.
    return "/".join(quote(_as_bytes(part), safe="") for part in parts)


def _as_bytes(part: str) -> bytes:
    """The bytes of a file name as the operating system gave it."""
    try:
        return part.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return part.encode("utf-8", "backslashreplace")
