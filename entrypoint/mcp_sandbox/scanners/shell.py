"""Shell text as its commands: quotes, pipes, substitutions, subshells; nothing is expanded.

Enough of the POSIX grammar to say which program is run with which words, and into what its output
goes. Pure and linear; text that no shell would take gives some commands all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

SHELLS = frozenset({"ash", "bash", "dash", "sh", "zsh"})
_WRAPPERS = frozenset({"command", "env", "exec", "nice", "nohup", "sudo", "time"})
_KEYWORDS = frozenset({"!", "do", "elif", "else", "if", "then", "until", "while", "{", "}"})
_ASSIGNMENT = re.compile(r"\w+\+?=")
_OUTPUT = frozenset({">", ">>", ">|", "1>", "1>>", "1>|"})
_MAX_DEPTH = 20

_CODE = re.compile(
    r"(?P<space>(?:[ \t\r]|\\\n)+)|(?P<end>&&|\|\||;;|[;&\n])|(?P<pipe>\|&?)"
    r"|(?P<redirect>\d{0,2}(?:<<<|<<-?|>>|[<>]&|<>|>\||[<>](?!\()))"
    r"|(?P<open>[<>$]?\()|(?P<close>\))|(?P<tick>`)|(?P<comment>\#)|(?P<quote>\")"
    r"|(?P<single>'[^']*'?)|(?P<escaped>\\.?)|(?P<plain>[^\s'\"\\`;&|<>()$\#]+|.)",
    re.DOTALL,
)
_QUOTED = re.compile(
    r"(?P<quote>\")|(?P<open>\$\()|(?P<tick>`)|(?P<escaped>\\.?)|(?P<plain>[^\"\\`$]+|.)", re.DOTALL
)
_LINE_END = re.compile(r"\n|\Z")


@dataclass(frozen=True)
class Command:
    """One simple command, or a group whose commands are ``inner``."""

    words: tuple[str, ...]
    inner: tuple[Pipeline, ...] = ()
    """Of its substitutions or its group."""
    target: str = ""
    """The last file that its standard output is redirected to."""

    def program(self) -> str:
        """Base name of what is run; empty for a group."""
        return call(self.words)[0]


@dataclass(frozen=True)
class Pipeline:
    """Commands, each of which feeds the next."""

    commands: tuple[Command, ...]


def call(words: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """Base name of the program and its arguments, past assignments, keywords and wrappers."""
    index = 0
    wrapped = False
    while index < len(words):
        word = words[index]
        if word in _KEYWORDS or _ASSIGNMENT.match(word) or (wrapped and word.startswith("-")):
            index += 1
        elif word.rpartition("/")[2] in _WRAPPERS:
            wrapped = True
            index += 1
        else:
            return word.rpartition("/")[2], tuple(words[index + 1 :])
    return "", ()


def everything(pipelines: Sequence[Pipeline], depth: int = 0) -> Iterator[Pipeline]:
    """Every pipeline, inner ones and the scripts of ``sh -c`` included."""
    for pipeline in pipelines:
        yield pipeline
        for command in pipeline.commands:
            yield from everything(command.inner, depth)
            script = given_script(command.words)
            if script and depth < _MAX_DEPTH:
                yield from everything(parse(script), depth + 1)


def given_script(words: Sequence[str]) -> str:
    """The text that ``sh -c TEXT`` runs; empty for other commands."""
    program, arguments = call(words)
    if program in SHELLS:
        for at, word in enumerate(arguments[:-1]):
            if re.fullmatch(r"-\w*c", word):
                return arguments[at + 1]
            if not word.startswith(("-", "+")):
                break
    return ""


@dataclass
class _Frame:
    """What is being read: a list of commands up to its closing bracket, or a quoted text."""

    closing: str
    quoted: bool = False
    done: list[Pipeline] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    word: list[str] | None = None
    inner: list[Pipeline] = field(default_factory=list)
    target: str = ""
    redirected: str = ""

    def add(self, text: str) -> None:
        if self.word is None:
            self.word = []
        self.word.append(text)

    def end_word(self) -> None:
        if self.word is None:
            return
        text = "".join(self.word)
        self.word = None
        if not self.redirected:
            self.words.append(text)
        elif self.redirected in _OUTPUT:
            self.target = text
        self.redirected = ""

    def end_command(self) -> None:
        self.end_word()
        if self.words or self.inner:
            self.commands.append(Command(tuple(self.words), tuple(self.inner), self.target))
        self.words, self.inner, self.target, self.redirected = [], [], "", ""

    def end_pipeline(self) -> None:
        self.end_command()
        if self.commands:
            self.done.append(Pipeline(tuple(self.commands)))
            self.commands = []


def parse(text: str) -> tuple[Pipeline, ...]:
    """The pipelines of a script, in order."""
    frames = [_Frame("")]
    at = 0
    while at < len(text):
        frame = frames[-1]
        match = (_QUOTED if frame.quoted else _CODE).match(text, at)
        if match is None:
            break
        at = match.end()
        if match.lastgroup == "comment" and frame.word is None:
            ends = _LINE_END.search(text, at)
            at = ends.start() if ends else len(text)
        else:
            _step(frames, match.lastgroup or "", match[0])
    while len(frames) > 1:
        _close(frames)
    frames[0].end_pipeline()
    return tuple(frames[0].done)


def _step(frames: list[_Frame], kind: str, text: str) -> None:
    frame = frames[-1]
    opens = kind == "open" or (kind == "tick" and frame.closing != "`")
    if opens and len(frames) < _MAX_DEPTH:
        frames.append(_Frame("`" if kind == "tick" else ")"))
    elif kind == "quote" and not frame.quoted and len(frames) < _MAX_DEPTH:
        frames.append(_Frame('"', quoted=True))
    elif kind in {"close", "tick", "quote"} and text == frame.closing:
        _close(frames)
    elif kind == "space":
        frame.end_word()
    elif kind == "redirect":
        frame.end_word()
        frame.redirected = text
    elif kind == "pipe":
        frame.end_command()
    elif kind == "end":
        frame.end_pipeline()
    elif kind == "single":
        frame.add(text[1:].removesuffix("'"))
    elif kind == "escaped":
        frame.add(text if frame.quoted and text[1:] not in '"\\$`' else text[1:].replace("\n", ""))
    else:
        frame.add(text)


def _close(frames: list[_Frame]) -> None:
    """Give what was read to what it stands in."""
    frame = frames.pop()
    outer = frames[-1]
    if frame.quoted:
        outer.add("".join(frame.word or ()))
        outer.inner += frame.inner
    else:
        frame.end_pipeline()
        outer.inner += frame.done
