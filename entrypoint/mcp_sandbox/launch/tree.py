"""JSON, JSON with comments, and YAML as a tree whose every value knows its line.

The text is a stranger's: it is read without recursion, in linear time, and within bounds. Of YAML
only what such files use is taken: one document, no anchors; tags mean nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

MAX_BYTES = 2 * 2**20
MAX_YAML_BYTES = 64 * 2**10
"""YAML's reader is three hundred times slower than that of JSON."""
MAX_VALUES = 100_000
MAX_DEPTH = 32

_TOKEN = re.compile(
    r"(?P<space>[ \t\r\n]+)"
    r'|(?P<text>"[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*")'
    r"|(?P<mark>[{}\[\]:,])"
    r"|(?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)(?![\w.])"
    r"|(?P<word>true|false|null)\b"
    r"|(?P<comment>//[^\n]*|/\*(?:[^*]|\*(?!/))*\*/)"
)
_WORDS = {"true": True, "false": False, "null": None}
_NUMBER = re.compile(r"[-+]?[0-9][0-9_]*(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?|0x[0-9a-fA-F]+")


class Unreadable(Exception):
    """A text that is not what it should be, as the end of a sentence; ``line`` 0 for the whole."""

    def __init__(self, what: str, line: int = 0) -> None:
        super().__init__(what)
        self.what = what
        self.line = line


class Number(str):
    """A number as it is written: nobody here calculates with it."""

    __slots__ = ()


@dataclass(frozen=True)
class Node:
    """A value and the line that it begins on, from 1."""

    value: str | bool | dict[str, Node] | list[Node] | None
    line: int

    @property
    def kind(self) -> str:
        """What it is, with its article."""
        if isinstance(self.value, Number):
            return "a number"
        names = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
        return names.get(type(self.value), "nothing")


@dataclass
class _Open:
    """An object or a list that is being read."""

    node: Node
    key: str | None = None
    key_line: int = 0
    ready: bool = True
    """A value, or the next key, may come."""
    filled: bool = False


@dataclass
class _Builder:
    """Puts values where they belong; refuses what no grammar allows, or is too much."""

    open: list[_Open] = field(default_factory=list)
    root: Node | None = None
    count: int = 0

    def value(self, node: Node) -> None:
        self.count += 1
        if self.count > MAX_VALUES:
            raise Unreadable(f"holds more than {MAX_VALUES:,} values", node.line)
        if not self.open:
            self.root = node
            return
        outer = self.open[-1]
        outer.filled = True
        if isinstance(outer.node.value, dict):
            # The line of a member is that of its key, where a reader looks for it.
            line = outer.key_line
            outer.node.value[outer.key or ""] = Node(node.value, line)
            outer.key = None
        elif isinstance(outer.node.value, list):
            outer.node.value.append(node)

    def begin(self, node: Node) -> None:
        if len(self.open) >= MAX_DEPTH:
            raise Unreadable(f"is nested deeper than {MAX_DEPTH} levels", node.line)
        self.value(node)
        self.open.append(_Open(node))


def decoded(data: bytes) -> str:
    """The text of a file. Raises ``Unreadable``."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable("is not UTF-8", data.count(b"\n", 0, error.start) + 1) from error
    if "\0" in text:
        raise Unreadable("holds a NUL character", text.count("\n", 0, text.index("\0")) + 1)
    return text


# --- JSON -----------------------------------------------------------------------------------------


def read_json(data: bytes, *, comments: bool = False) -> Node:
    """The value of a JSON text. ``comments``: these, and commas before a closing bracket, too.

    Of a repeated name the last one counts, as everywhere. Raises ``Unreadable``.
    """
    if len(data) > MAX_BYTES:
        raise Unreadable(f"is larger than {MAX_BYTES // 2**20} MiB")
    text = decoded(data)
    builder = _Builder()
    done = False
    for kind, piece, line in _tokens(text, comments=comments):
        if done:
            raise Unreadable("is no JSON: something follows its end", line)
        if kind == "mark" and piece in "{[":
            _expect_value(builder, line)
            builder.begin(Node({} if piece == "{" else [], line))
        elif kind == "mark":
            _mark(builder, piece, line, comments=comments)
        elif kind == "text" and _wants_key(builder):
            builder.open[-1].key = _unescaped(piece, line)
            builder.open[-1].key_line = line
            builder.open[-1].ready = False  # until the colon
        else:
            _expect_value(builder, line)
            builder.value(Node(_scalar(kind, piece, line), line))
        done = builder.root is not None and not builder.open
    if not done or builder.root is None:
        raise Unreadable("is no JSON: it ends too early", text.count("\n") + 1)
    return builder.root


def _tokens(text: str, *, comments: bool) -> Iterator[tuple[str, str, int]]:
    at, line = 0, 1
    while at < len(text):
        match = _TOKEN.match(text, at)
        kind = match.lastgroup if match else None
        if match is None or kind is None or (kind == "comment" and not comments):
            what = "a comment, which it cannot have" if kind else "what no JSON has"
            raise Unreadable(f"is no JSON: here stands {what}", line)
        if kind not in {"space", "comment"}:
            yield kind, match[0], line
        line += match[0].count("\n")
        at = match.end()


def _wants_key(builder: _Builder) -> bool:
    if not builder.open:
        return False
    inner = builder.open[-1]
    return isinstance(inner.node.value, dict) and inner.key is None and inner.ready


def _expect_value(builder: _Builder, line: int) -> None:
    """Raises ``Unreadable`` where no value may stand; takes note that one does."""
    if not builder.open:
        return
    inner = builder.open[-1]
    if not inner.ready or (isinstance(inner.node.value, dict) and inner.key is None):
        raise Unreadable("is no JSON: here a name, a colon or a comma is missing", line)
    inner.ready = False


def _mark(builder: _Builder, piece: str, line: int, *, comments: bool) -> None:
    inner = builder.open[-1] if builder.open else None
    within = inner.node.value if inner else None
    if inner is not None and piece == ":":
        fits = inner.key is not None and not inner.ready
        inner.ready = True
    elif inner is not None and piece == ",":
        fits = not inner.ready and inner.key is None and inner.filled
        inner.ready = True
    elif inner is not None and inner.key is None:
        fits = isinstance(within, dict if piece == "}" else list)
        fits = fits and (not inner.ready or not inner.filled or comments)
        builder.open.pop()
    else:
        fits = False
    if not fits:
        raise Unreadable(f"is no JSON: here stands {piece!r}, which does not belong", line)


def _scalar(kind: str, piece: str, line: int) -> str | bool | None:
    if kind == "text":
        return _unescaped(piece, line)
    return Number(piece) if kind == "number" else _WORDS[piece]


def _unescaped(piece: str, line: int) -> str:
    try:
        return str(json.loads(piece))
    except ValueError as error:
        raise Unreadable("is no JSON: a text has an escape that there is not", line) from error


# --- YAML -----------------------------------------------------------------------------------------


def read_yaml(data: bytes) -> Node:
    """The value of a YAML text of one document. Raises ``Unreadable``."""
    if len(data) > MAX_YAML_BYTES:
        raise Unreadable(f"is larger than {MAX_YAML_BYTES // 2**10} KiB")
    text = decoded(data)
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            _event(builder, event)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise Unreadable(f"is no YAML: {str(error.problem)[:200]}", line) from error
    except yaml.YAMLError as error:
        raise Unreadable(f"is no YAML: {str(error).splitlines()[0][:200]}") from error
    return builder.root or Node(None, 1)


def _event(builder: _Builder, event: yaml.Event) -> None:
    line = event.start_mark.line + 1 if event.start_mark else 0
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
        raise Unreadable("uses anchors, which are not followed", line)
    if isinstance(event, yaml.DocumentStartEvent) and builder.root is not None:
        raise Unreadable("holds more than one document", line)
    inner = builder.open[-1] if builder.open else None
    expects_key = inner is not None and isinstance(inner.node.value, dict) and inner.key is None
    if isinstance(event, yaml.ScalarEvent):
        if inner is not None and expects_key:
            inner.key, inner.key_line = str(event.value), line
        else:
            builder.value(Node(_plain(event), line))
    elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
        if expects_key:
            raise Unreadable("has a name that is no text", line)
        builder.begin(Node({} if isinstance(event, yaml.MappingStartEvent) else [], line))
    elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
        builder.open.pop()


def _plain(event: yaml.ScalarEvent) -> str | bool | None:
    text = str(event.value)
    if not event.implicit[0]:  # quoted, or with a tag
        return text
    lower = text.lower()
    if lower in {"true", "false"}:
        return lower == "true"
    if lower in {"", "~", "null"}:
        return None
    return Number(text) if _NUMBER.fullmatch(text) else text
