"""A Dockerfile as its instructions, read as BuildKit's own parser reads it.

What is read: the ``escape`` directive, comments, continuations (with comments and empty lines
between them), flags, the JSON form, here-documents, variables. The grammar is that of
``frontend/dockerfile/parser`` in moby/buildkit; what that refuses is refused here too, with one
sentence. Pure; linear in the length of the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

MAX_BYTES = 2**20
"""A larger Dockerfile is not read."""
MAX_INSTRUCTIONS = 2000
"""An image has 127 layers at most; what has more instructions than this is no Dockerfile."""

KEYWORDS = frozenset(
    {
        "ADD",
        "ARG",
        "CMD",
        "COPY",
        "ENTRYPOINT",
        "ENV",
        "EXPOSE",
        "FROM",
        "HEALTHCHECK",
        "LABEL",
        "MAINTAINER",
        "ONBUILD",
        "RUN",
        "SHELL",
        "STOPSIGNAL",
        "USER",
        "VOLUME",
        "WORKDIR",
    }
)
_HEREDOCS = frozenset({"ADD", "COPY", "RUN"})
_JSON = frozenset({"ADD", "CMD", "COPY", "ENTRYPOINT", "RUN", "SHELL", "VOLUME"})
_DIRECTIVE = re.compile(r"(?:#|//)\s*([a-zA-Z][a-zA-Z0-9]*)\s*=(.*)")
_HEREDOC = re.compile(r"\d*<<(-?)([^<]+)$")
_VARIABLE = re.compile(
    r"\\(?P<plain>.)"
    r"|\$(?P<name>\w+)"
    r"|\$\{(?P<braced>\w+)(?::?(?P<how>[-+])(?P<word>[^{}$]*))?\}"
)
_MAX_VALUE = 512
_PIECES = {
    escape: re.compile(
        r"(?P<space>\s+)|(?P<single>'[^']*'?)"
        rf'|(?P<double>"(?:[^"{re.escape(escape)}]|{re.escape(escape)}.)*"?)'
        rf"|(?P<escaped>{re.escape(escape)}.?)|(?P<plain>[^\s'\"{re.escape(escape)}]+)",
        re.DOTALL,
    )
    for escape in "\\`"
}
_ESCAPED = {escape: re.compile(rf'{re.escape(escape)}(["$\\`])') for escape in "\\`"}


class DockerfileError(ValueError):
    """What BuildKit would refuse, as one sentence; ``line`` counts from 1."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line = line
        self.what = what


@dataclass(frozen=True)
class Heredoc:
    """The lines between ``<<NAME`` and ``NAME``."""

    name: str
    text: str
    line: int
    """Of its first line."""


@dataclass(frozen=True)
class Instruction:
    """One instruction. ``line`` and ``end_line`` count from 1 and include its here-documents."""

    keyword: str
    """Upper case."""
    text: str
    """What follows keyword and flags, continuations joined."""
    line: int
    end_line: int
    flags: tuple[str, ...] = ()
    """``--name`` or ``--name=value``, in order."""
    argv: tuple[str, ...] | None = None
    """The JSON form; ``None`` for the shell form."""
    heredocs: tuple[Heredoc, ...] = ()
    trigger: bool = False
    """Said with ``ONBUILD``: of an image that builds on this one, not of this one."""

    def flag(self, name: str) -> str:
        """The value of ``--name=value``; empty when it is not given."""
        return next(
            (one[len(name) + 3 :] for one in self.flags if one.startswith(f"--{name}=")), ""
        )


def parse(source: bytes) -> tuple[Instruction, ...]:
    """The instructions in order. Raises ``DockerfileError``."""
    if len(source) > MAX_BYTES:
        raise DockerfileError(1, f"it is larger than {MAX_BYTES // 2**20} MiB")
    text = source.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    if "\0" in text:
        raise DockerfileError(text.count("\n", 0, text.index("\0")) + 1, "it holds a null byte")
    # As BuildKit splits: only a line feed ends a line.
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    found = tuple(_instructions(lines, _escape(lines)))
    stage = next((one for one in found if one.keyword != "ARG"), None)
    if stage is None:
        raise DockerfileError(1, "it holds no instruction that builds anything")
    if stage.keyword != "FROM":
        raise DockerfileError(stage.line, f"{stage.keyword} stands before the first FROM")
    return found


def _escape(lines: list[str]) -> str:
    """The character that continues a line: directives count above all else only."""
    for line in lines:
        match = _DIRECTIVE.match(line.strip())
        if match is None:
            return "\\"
        if match[1].lower() == "escape":
            if match[2].strip() not in {"\\", "`"}:
                raise DockerfileError(1, "its escape directive is neither ` nor \\")
            return match[2].strip()
    return "\\"


def _instructions(lines: list[str], escape: str) -> Iterator[Instruction]:
    # An escaped escape character at the end of a line continues nothing.
    mark = re.escape(escape)
    continued = re.compile(rf"(?<!{mark}){mark}[ \t]*$")
    number = count = 0
    while number < len(lines):
        start = number
        text, number = _joined(lines, number, continued)
        if not text:
            continue
        count += 1
        if count > MAX_INSTRUCTIONS:
            raise DockerfileError(start + 1, f"it has more than {MAX_INSTRUCTIONS} instructions")
        one = _instruction(text, start + 1, escape)
        heredocs: list[Heredoc] = []
        for name, chomp in _wanted(one, escape):
            heredoc, number = _heredoc(lines, number, name, chomp, start + 1)
            heredocs.append(heredoc)
        yield replace(one, end_line=number, heredocs=tuple(heredocs))


def _joined(lines: list[str], number: int, continued: re.Pattern[str]) -> tuple[str, int]:
    """A line with those that continue it, and the number of the next; empty for a comment."""
    line = lines[number].lstrip()
    number += 1
    if line.startswith("#"):
        return "", number
    match = continued.search(line)
    parts = [line[: match.start()] if match else line]
    while match and number < len(lines):
        line = lines[number]
        number += 1
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = continued.search(line)
        parts.append(line[: match.start()] if match else line)
    return "".join(parts).strip(), number


def _heredoc(
    lines: list[str], number: int, name: str, chomp: bool, line: int
) -> tuple[Heredoc, int]:
    first = number
    while number < len(lines):
        text = lines[number]
        number += 1
        if (text.lstrip("\t") if chomp else text) == name:
            return Heredoc(name, "\n".join(lines[first : number - 1]), first + 1), number
    raise DockerfileError(line, f"its here-document {name[:60]!r} never ends")


def _instruction(text: str, line: int, escape: str, trigger: bool = False) -> Instruction:
    keyword, rest = [*text.split(None, 1), ""][:2]
    keyword = keyword.upper()
    if keyword not in KEYWORDS:
        raise DockerfileError(line, f"it has an unknown instruction: {keyword[:40]!r}")
    if not rest and keyword not in {"CMD", "ENTRYPOINT"}:
        raise DockerfileError(line, f"{keyword} has no argument")
    if keyword == "ONBUILD":
        if trigger:
            raise DockerfileError(line, "ONBUILD stands inside ONBUILD")
        return _instruction(rest, line, escape, trigger=True)
    flags: list[str] = []
    while rest.startswith("--") and keyword not in {"ENV", "LABEL", "MAINTAINER"}:
        flag, after = [*rest.split(None, 1), ""][:2]
        if flag == "--":
            break
        flags.append(flag)
        rest = after
    form = json_form(rest) if keyword in _JSON else None
    return Instruction(keyword, rest, line, line, tuple(flags), form, trigger=trigger)


def json_form(text: str) -> tuple[str, ...] | None:
    """The JSON form: a list of strings; anything else is a shell's text."""
    if not text.startswith("["):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return tuple(value)
    return None


def _wanted(one: Instruction, escape: str) -> Iterator[tuple[str, bool]]:
    """Name, and whether leading tabs are dropped, of every here-document."""
    if one.keyword not in _HEREDOCS or one.argv is not None or "<<" not in one.text:
        return
    for word in words(one.text, escape, keep_quotes=True):
        match = _HEREDOC.match(word)
        if match:
            name = "".join(words(match[2], escape))
            if name:
                yield name, match[1] == "-"


def words(text: str, escape: str = "\\", *, keep_quotes: bool = False) -> list[str]:
    """Words as the builder splits them: at white space outside quotes."""
    found: list[str] = []
    word: list[str] = []
    for match in _PIECES[escape].finditer(text):
        if match.lastgroup == "space":
            if word:
                found.append("".join(word))
                word = []
        elif keep_quotes or match.lastgroup == "plain":
            word.append(match[0])
        elif match.lastgroup == "single":
            word.append(match[0][1:].removesuffix("'"))
        elif match.lastgroup == "double":
            inner = match[0][1:].removesuffix('"')
            word.append(_ESCAPED[escape].sub(r"\1", inner))
        else:
            word.append(match[0][1:])
    return [*found, "".join(word)] if word else found


def pairs(one: Instruction) -> list[tuple[str, str | None]]:
    """Names and values of ``ENV`` and ``ARG``; ``None`` for an ``ARG`` without a default."""
    split = words(one.text)
    if one.keyword == "ENV" and split and "=" not in split[0]:
        return [(split[0], one.text.partition(" ")[2].strip())]
    found: list[tuple[str, str | None]] = []
    for word in split:
        name, equals, value = word.partition("=")
        found.append((name, value if equals else None))
    return found


def expand(text: str, values: Mapping[str, str]) -> str | None:
    """``text`` with its variables; ``None`` when one of them is not known."""
    if len(text) > _MAX_VALUE:
        return None
    unknown = False

    def value(match: re.Match[str]) -> str:
        nonlocal unknown
        if match["plain"] is not None:
            return match["plain"]
        held = values.get(match["name"] or match["braced"], "")
        if match["how"] == "-":
            return held or match["word"]
        if match["how"] == "+":
            return match["word"] if held else ""
        unknown = unknown or not held
        return held

    done = _VARIABLE.sub(value, text)
    return None if unknown or len(done) > _MAX_VALUE else done


@dataclass(frozen=True)
class Stage:
    """One ``FROM`` and what follows it."""

    start: Instruction
    base: str | None
    """Image or stage as named, variables filled in; ``None`` when one has no default."""
    name: str
    """Lower case; empty when it has none."""
    body: tuple[Instruction, ...] = ()


def stages(instructions: tuple[Instruction, ...]) -> tuple[Stage, ...]:
    """The stages in order; the last is what is built."""
    values: dict[str, str] = {}
    found: list[Stage] = []
    bodies: list[list[Instruction]] = []
    for one in instructions:
        if one.keyword == "FROM" and not one.trigger:
            split = words(one.text)
            named = len(split) == 3 and split[1].lower() == "as"  # noqa: PLR2004 - X AS Y
            if len(split) != 1 and not named:
                raise DockerfileError(one.line, "FROM wants IMAGE or IMAGE AS NAME")
            name = split[2].lower() if named else ""
            found.append(Stage(one, expand(split[0], values), name))
            bodies.append([])
        elif bodies:
            bodies[-1].append(one)
        else:
            for name, default in pairs(one):
                if default is not None and (filled := expand(default, values)) is not None:
                    values[name] = filled
    return tuple(
        replace(stage, body=tuple(body)) for stage, body in zip(found, bodies, strict=True)
    )
