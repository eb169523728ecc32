"""What a parameter is for, guessed from its name, its description and its tool.

Two uses: an ordinary call should really work, so a parameter that looks like a file name gets the
same sample name in every tool (what one tool writes, the next can read); and hostile input should
begin with what the parameter looks most likely to fall for. Only names that are whole words count
(``fileKey`` is ``file key``), and nothing of the peer's is ever used as a pattern.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from mcp_sandbox.model import Json

MAX_TEXT = 2_000
"""Characters of a description that are looked at."""
SAMPLE_FILE = "notes.txt"
SAMPLE_TEXT = "Sample text."
SCRATCH = "/tmp"  # noqa: S108 - the one writable folder of the server's container


class Hint(StrEnum):
    """What a parameter looks like."""

    PATH = "path"
    DIRECTORY = "directory"
    URL = "url"
    HOST = "host"
    COMMAND = "command"
    ARGUMENT = "argument"
    """Something that ends up as an argument of a program: a revision, a branch, options."""
    SQL = "sql"
    SEARCH = "search"
    CODE = "code"
    TEMPLATE = "template"
    DATA = "data"
    """Text that is parsed: JSON, YAML, XML."""
    TEXT = "text"
    NAME = "name"
    IDENTIFIER = "identifier"


@dataclass(frozen=True)
class Context:
    """What is known around a parameter."""

    tool: str = ""
    description: str = ""
    directories: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    """Files that exist inside the server's allowed folders."""
    absolute: bool = False
    """Prefer absolute paths, in the one folder that can surely be written."""
    seed: int = 0


@dataclass(frozen=True)
class Guess:
    """Hints, best first, and an ordinary value (a string or a number)."""

    hints: tuple[Hint, ...]
    value: Json


_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

_VALUES: tuple[tuple[frozenset[str], tuple[Hint, ...], Json], ...] = tuple(
    (frozenset(words.split()), hints, value)
    for words, hints, value in (
        ("timezone tz timezones zoneinfo", (), "Europe/Berlin"),
        ("email mail recipient recipients cc bcc", (), "user@example.com"),
        ("uuid guid", (), "3f2b8c1e-5d47-4a6b-9c80-1e2d3c4b5a69"),
        ("timestamp datetime since until", (), "2026-01-15T12:30:00Z"),
        ("date day birthday", (), "2026-01-15"),
        ("time", (), "12:30"),
        ("ip ipaddress", (Hint.HOST,), "127.0.0.1"),
        ("host hostname domain server hosts", (Hint.HOST,), "example.com"),
        ("url urls uri link href endpoint webhook site", (Hint.URL,), "http://example.com/"),
        ("sql statement", (Hint.SQL,), "SELECT 1"),
        ("command cmd shell exec bash", (Hint.COMMAND,), "echo hello"),
        ("expression formula equation calculation", (Hint.CODE,), "1+1"),
        ("code script javascript python program snippet", (Hint.CODE,), "1+1"),
        ("template", (Hint.TEMPLATE, Hint.TEXT), "Hello"),
        ("glob", (Hint.PATH,), "*.txt"),
        ("branch revision ref commit sha rev tag target base", (Hint.ARGUMENT,), "HEAD"),
        ("args arguments options flags option flag argv", (Hint.ARGUMENT,), "-h"),
        ("query search keyword keywords term filter q pattern regex", (Hint.SEARCH,), "notes"),
        ("table column schema database db", (Hint.NAME, Hint.SQL), "notes"),
        ("json", (Hint.DATA,), "{}"),
        ("yaml yml config settings payload metadata", (Hint.DATA,), "{}"),
        ("xml html markup", (Hint.DATA, Hint.TEMPLATE), "<p>Sample text.</p>"),
        ("csv data body input", (Hint.DATA, Hint.TEXT), SAMPLE_TEXT),
        ("language lang locale", (), "en"),
        ("country region", (), "DE"),
        ("currency", (), "USD"),
        ("city location address place", (), "Berlin"),
        ("encoding charset", (), "utf-8"),
        ("mime mimetype", (), "text/plain"),
        ("color colour", (), "#336699"),
        ("phone", (), "+491234567890"),
        ("version", (Hint.ARGUMENT,), "1.0.0"),
        ("subject title message content text prompt comment note description summary question",
         (Hint.TEXT,), SAMPLE_TEXT),
        ("name user username owner repo project topic label author", (Hint.NAME,), "sample"),
        ("id key identifier slug", (Hint.IDENTIFIER, Hint.NAME), "sample"),
    )
)  # fmt: skip

_CHOOSING = frozenset(
    [
        *("type", "mode", "kind", "format", "style", "unit", "units", "level", "order"),
        *("direction", "status", "state", "strategy", "sort", "scope", "side", "variant"),
        *("action", "operation"),
    ]
)
"""A parameter named so takes one of a few words, which its description quotes."""
_CHOICE = re.compile(r"[\"'`“‘]([A-Za-z][A-Za-z0-9_-]{0,30})[\"'`”’]")

_FILE_WORDS = frozenset(
    ("file", "filename", "filepath", "files", "document", "image", "attachment")
)
_PATH_WORDS = frozenset(("path", "paths", "pathname", "filepath"))
_FOLDER_WORDS = frozenset(
    ("directory", "dir", "folder", "cwd", "workdir", "workspace", "dirname", "directories")
)
_LOOKING = frozenset(("search", "list", "ls", "tree", "find", "glob", "grep", "scan", "browse"))
"""A tool named so looks through a folder: its ``path`` is one, unless a file is spoken of."""
_FILE_SUFFIX_WORDS = frozenset(("name", "names", "path", "paths", "file"))

_NUMBERS: tuple[tuple[frozenset[str], int], ...] = (
    (frozenset(("limit", "max", "count", "top", "size", "k", "per")), 5),
    (frozenset(("port",)), 8080),
    (frozenset(("year",)), 2026),
    (frozenset(("timeout", "seconds")), 5),
    (frozenset(("offset", "skip")), 0),
    (frozenset(("latitude", "lat")), 52),
    (frozenset(("longitude", "lon", "lng")), 13),
)


def words(text: str) -> tuple[str, ...]:
    """``filePath_2`` -> ``("file", "path", "2")``."""
    return tuple(word.lower() for word in _WORD.findall(text[:MAX_TEXT]))


def guess_text(name: str, description: str, context: Context) -> Guess:
    """Hints and an ordinary value for a string parameter."""
    parts = words(name)
    about = frozenset(words(description))
    place = _place(parts, about, context)
    if place is not None:
        return place
    if "target" in parts and ("timezone" in parts or "tz" in parts):
        return Guess((), "America/New_York")
    talks_sql = about | frozenset(words(f"{context.tool} {context.description}"))
    if talks_sql & {"sql", "sqlite", "postgres", "mysql", "database", "select"} and (
        frozenset(parts) & {"query", "sql", "statement", "q"}
    ):
        return Guess((Hint.SQL, Hint.SEARCH), "SELECT 1")
    if parts and parts[-1] in _CHOOSING and (choice := _CHOICE.search(description[:MAX_TEXT])):
        return Guess((Hint.NAME,), choice[1])
    # The last word of a name says what it is: a `url_pattern` is a pattern.
    for part in reversed(parts):
        for known, hints, value in _VALUES:
            if part in known:
                return Guess((*hints, *_spoken(about)), value)
    spoken = _spoken(about)
    return Guess(spoken or (Hint.TEXT,), "http://example.com/" if Hint.URL in spoken else "sample")


def guess_number(name: str, context: Context) -> int:
    """A small ordinary number."""
    parts = words(name)
    for part in reversed(parts):
        for known, value in _NUMBERS:
            if part in known:
                return value
    return 1 + (context.seed + sum(map(ord, name[:64]))) % 3


def _place(parts: tuple[str, ...], about: frozenset[str], context: Context) -> Guess | None:
    """Files and folders; None for anything else."""
    said = frozenset(parts)
    if not parts or said & {"url", "uri", "jsonpath", "xpath"}:
        return None
    last = parts[-1]
    is_folder = bool(said & _FOLDER_WORDS) or said >= {"repo", "path"}
    is_file = last in _FILE_WORDS or (bool(said & _FILE_WORDS) and last in _FILE_SUFFIX_WORDS)
    is_path = bool(said & _PATH_WORDS) or (last in ("source", "destination") and "path" in about)
    if not (is_folder or is_file or is_path):
        return None
    if not is_folder and not is_file:
        tool = frozenset(words(context.tool))
        around = about | tool
        speaks = around & (_FOLDER_WORDS | {"tree"}) or tool & _LOOKING
        is_folder = bool(speaks) and "file" not in around
    if is_folder:
        folders = (SCRATCH,) if context.absolute else (*context.directories, SCRATCH)
        return Guess((Hint.DIRECTORY, Hint.PATH), folders[0])
    absolute = context.absolute or "absolute" in about
    if last in ("name", "names", "filename") and not absolute:
        return Guess((Hint.PATH, Hint.NAME), SAMPLE_FILE)
    return Guess((Hint.PATH,), _file(context, absolute=absolute))


def _file(context: Context, *, absolute: bool) -> str:
    """One file's path, the same for every tool."""
    if context.paths and not context.absolute:
        return context.paths[0]
    if context.directories and not context.absolute:
        return f"{context.directories[0].rstrip('/')}/{SAMPLE_FILE}"
    return f"{SCRATCH}/{SAMPLE_FILE}" if absolute else SAMPLE_FILE


_SPOKEN: tuple[tuple[frozenset[str], Hint], ...] = (
    (frozenset(("url", "urls", "uri", "link")), Hint.URL),
    (frozenset(("sql",)), Hint.SQL),
    (frozenset(("shell", "command")), Hint.COMMAND),
    (frozenset(("path", "file", "filename", "directory", "folder")), Hint.PATH),
    (frozenset(("expression", "code", "script", "evaluate")), Hint.CODE),
    (frozenset(("template",)), Hint.TEMPLATE),
    (frozenset(("json", "yaml", "xml")), Hint.DATA),
)


def _spoken(about: Iterable[str]) -> tuple[Hint, ...]:
    """Hints that a description gives."""
    found = frozenset(about)
    return tuple(hint for known, hint in _SPOKEN if found & known)
