"""What a parameter is for, guessed from its name, its description and its tool.

Two uses: an ordinary call should really work, so a parameter that looks like a file name gets the
same sample name in every tool (what one tool writes, the next can read); and hostile input should
begin with what the parameter looks most likely to fall for. Only names that are whole words count
(``fileKey`` is ``file key``), and nothing of the peer's is ever used as a pattern.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mcp_sandbox import samples
from mcp_sandbox.model import Json
from mcp_sandbox.probe import paths
from mcp_sandbox.probe.context import MAX_TEXT, Context, Guess, Hint, prose, words

__all__ = [
    "SAMPLE_FILE",
    "SCRATCH",
    "Context",
    "Guess",
    "Hint",
    "guess_number",
    "guess_text",
    "words",
]

SAMPLE_FILE = samples.FILE
SAMPLE_TEXT = samples.TEXT
SCRATCH = samples.SCRATCH

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
        ("branch", (Hint.ARGUMENT,), samples.BRANCH),
        ("tag", (Hint.ARGUMENT,), samples.TAG),
        ("revision ref commit sha rev target base", (Hint.ARGUMENT,), "HEAD"),
        ("args arguments options flags option flag argv", (Hint.ARGUMENT,), "-h"),
        ("query search keyword keywords term filter q pattern regex", (Hint.SEARCH,), "notes"),
        ("column columns", (Hint.NAME, Hint.SQL), "title"),
        ("table schema database db", (Hint.NAME, Hint.SQL), samples.TABLE),
        ("sheet worksheet", (Hint.NAME,), samples.SHEET),
        ("cell", (Hint.NAME,), "A1"),
        ("jql", (Hint.SEARCH,), "project = SAMPLE"),
        ("xpath", (Hint.SEARCH,), "//p"),
        ("jsonpath", (Hint.SEARCH,), "$.title"),
        ("selector css", (Hint.SEARCH,), "body"),
        ("cron crontab", (), "0 9 * * 1"),
        ("latitude lat", (), "52.52"),
        ("longitude lon lng", (), "13.405"),
        ("coordinates latlng latlon", (), "52.52,13.405"),
        ("symbol ticker tickers symbols", (Hint.NAME,), "AAPL"),
        ("zip zipcode postcode postal", (), "10115"),
        ("year", (), "2026"),
        ("month", (), "2026-01"),
        ("duration", (), "PT5M"),
        ("method verb", (), "GET"),
        ("headers header", (Hint.DATA,), "{}"),
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

_NUMBERS: tuple[tuple[frozenset[str], int], ...] = (
    (frozenset(("limit", "max", "count", "top", "size", "k", "per")), 5),
    (frozenset(("port",)), 8080),
    (frozenset(("year",)), 2026),
    (frozenset(("timeout", "seconds")), 5),
    (frozenset(("offset", "skip", "index", "idx")), 0),
    (frozenset(("page", "level", "row", "column", "col", "start", "begin", "first")), 1),
    (frozenset(("month",)), 1),
    (frozenset(("day", "days")), 7),
    (frozenset(("hour", "hours")), 12),
    (frozenset(("width", "height")), 100),
    (frozenset(("latitude", "lat")), 52),
    (frozenset(("longitude", "lon", "lng")), 13),
)


def guess_text(name: str, description: str, context: Context) -> Guess:
    """Hints and an ordinary value for a string parameter."""
    parts = words(name)
    place = paths.place(parts, description, context)
    if place is not None:
        return place
    guess = _guess(parts, description, context)
    quoted = _example(description)
    if quoted and _OWN.isdisjoint(guess.hints):
        return Guess(guess.hints, quoted)
    return guess


_OWN = frozenset((Hint.PATH, Hint.DIRECTORY, Hint.URL, Hint.SQL, Hint.COMMAND, Hint.ARGUMENT))
"""What a description has an example of is not there: these keep our value."""
_EXAMPLE = re.compile(
    r"\b(?:e\.g\.|eg\.|for example|for instance|examples?|such as)[,:]?[ \t(]{0,3}"
    r"(?:[\"“`]([^\"”`\n]{1,80})[\"”`]|['‘]([^'’\n]{1,80})['’])",
    re.IGNORECASE,
)


def _example(description: str) -> str:
    """The first example that a description quotes; empty when it has none."""
    found = _EXAMPLE.search(description[:MAX_TEXT])
    return (found[1] or found[2] or "").strip() if found else ""


@dataclass(frozen=True)
class _Parameter:
    """A parameter in words."""

    parts: tuple[str, ...]
    said: frozenset[str]
    about: frozenset[str]
    description: str
    context: Context


def _guess(parts: tuple[str, ...], description: str, context: Context) -> Guess:
    about = prose(description)
    one = _Parameter(parts, frozenset(parts), about, description[:MAX_TEXT], context)
    for ask in _SPECIAL:
        if found := ask(one):
            return found
    # The last word of a name says what it is: a `url_pattern` is a pattern.
    for part in reversed(_without_name(parts)):
        for known, hints, value in _VALUES:
            if part in known:
                return Guess((*hints, *_spoken(about)), value)
    spoken = _spoken(about)
    return Guess(spoken or (Hint.TEXT,), "http://example.com/" if Hint.URL in spoken else "sample")


def _without_name(parts: tuple[str, ...]) -> tuple[str, ...]:
    """A ``table_name`` is a table."""
    of_known = len(parts) > 1 and parts[-1] in {"name", "names"} and parts[-2] in _NAMED
    return parts[:-1] if of_known else parts


_NAMED = frozenset(
    [
        *("table", "column", "sheet", "worksheet", "branch", "tag", "symbol", "ticker"),
        *("host", "domain", "city", "country", "language", "currency", "timezone"),
    ]
)


def _zone(one: _Parameter) -> Guess | None:
    second = "target" in one.said and one.said & {"timezone", "tz"}
    return Guess((), "America/New_York") if second else None


def _query(one: _Parameter) -> Guess | None:
    around = one.about | one.context.said
    if around & _DATABASES and one.said & {"query", "sql", "statement", "q"}:
        return Guess((Hint.SQL, Hint.SEARCH), _statement(one.context))
    return None


def _choice(one: _Parameter) -> Guess | None:
    if one.parts and one.parts[-1] in _CHOOSING and (choice := _CHOICE.search(one.description)):
        return Guess((Hint.NAME,), choice[1])
    return None


def _revision(one: _Parameter) -> Guess | None:
    in_git = paths.is_git(one.description, one.context)
    named = paths.revision(one.parts, one.context) if in_git else ""
    return Guess((Hint.ARGUMENT, *_spoken(one.about)), named) if named else None


def _old_text(one: _Parameter) -> Guess | None:
    """What is to be replaced has to be there."""
    there = one.said & {"old", "original"} and one.said & {"string", "str", "text", "content"}
    return Guess((Hint.TEXT,), SAMPLE_TEXT) if there else None


def _number_as_text(one: _Parameter) -> Guess | None:
    wanted = one.said & {"id", "ids"} and one.about & {"numeric", "integer"}
    return Guess((Hint.IDENTIFIER, Hint.NAME), "1") if wanted else None


def _range(one: _Parameter) -> Guess | None:
    around = one.about | one.context.said
    of_cells = "range" in one.said and around & {"cell", "cells", "sheet", "worksheet", "excel"}
    if of_cells or (one.context.kind == "xlsx" and "range" in one.said):
        return Guess((Hint.NAME,), "A1:C3")
    at_cell = one.context.kind == "xlsx" and (one.said == {"at"} or one.said & {"anchor", "cell"})
    return Guess((Hint.NAME,), "A1") if at_cell or _CELL.search(one.description) else None


_CELL = re.compile(r"\bcell\b.{0,60}\bA1\b|\bA1 notation\b", re.IGNORECASE)


def _base64(one: _Parameter) -> Guess | None:
    told = {"base", "64"} <= one.about and one.said & {"data", "content", "bytes", "blob", "body"}
    if not {"base", "64"} <= one.said and not told:
        return None
    of_image = (one.said | one.about) & {"image", "png", "picture", "screenshot", "photo"}
    return Guess((Hint.DATA,), _IMAGE if of_image else "U2FtcGxlIHRleHQu")


_IMAGE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk"
    "+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""A PNG of one pixel."""


def _slug(one: _Parameter) -> Guess | None:
    whole = one.said & {"repo", "repository"} and "owner/repo" in one.description.lower()
    return Guess((Hint.NAME,), "sample/sample") if whole else None


def _element(one: _Parameter) -> Guess | None:
    """The target of a click: part of a page, where the description has a selector name it."""
    named = one.parts and one.parts[-1] in {"target", "element", "locator", "ref"}
    return Guess((Hint.SEARCH,), "body") if named and "selector" in one.about else None


_SPECIAL: tuple[Callable[[_Parameter], Guess | None], ...] = (
    *(_zone, _query, _choice, _base64, _element, _revision, _old_text, _number_as_text, _range),
    _slug,
)
"""What more than one word tells."""

_DATABASES = frozenset(("sql", "sqlite", "postgres", "mysql", "database", "select", "duckdb"))


def _statement(context: Context) -> str:
    """A statement of the kind that a tool runs."""
    table = samples.TABLE
    if context.named >= {"create", "table"}:
        return f"CREATE TABLE IF NOT EXISTS {table} (id INTEGER PRIMARY KEY, title TEXT)"
    if context.named & {"insert", "write"} and not context.named & {"read"}:
        return f"INSERT INTO {table} (title) VALUES ('Sample')"  # noqa: S608 - a constant
    return "SELECT 1"


def guess_number(name: str, context: Context) -> int:
    """A small ordinary number."""
    parts = words(name)
    if parts and parts[0] in {"end", "last"}:
        return 2  # behind where it starts
    for part in reversed(parts):
        for known, value in _NUMBERS:
            if part in known:
                return value
    return 1 + (context.seed + sum(map(ord, name[:64]))) % 3


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
