"""Every text of a server that a model, or the person in front of it, gets to read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from mcp_sandbox.model import ItemKind, Json, Session

MAX_DEPTH = 64
"""Levels of nesting that are walked."""

NAME_KEY: dict[ItemKind, str] = {
    ItemKind.TOOLS: "name",
    ItemKind.PROMPTS: "name",
    ItemKind.RESOURCES: "uri",
    ItemKind.TEMPLATES: "uriTemplate",
}
"""The member that identifies an item of each kind."""


class Kind(StrEnum):
    """What a text is to the server."""

    NAME = "name"
    """Name of a tool, prompt or parameter, or a URI."""
    DESCRIPTION = "description"
    """Descriptions, titles, instructions, annotations, ``_meta``."""
    SCHEMA = "schema"
    """Strings of a schema that are no description: defaults, enums, examples, titles, ``x-*``."""


@dataclass(frozen=True)
class Surface:
    """One text and where it stands."""

    subject: str
    pointer: str
    """JSON pointer into the listed item; empty for the text of ``server``."""
    kind: Kind
    text: str
    session: Session | None
    """Where it was listed; ``None`` for a text of a lock file that no session showed."""
    lists: ItemKind | None


_SCHEMAS = frozenset({"inputSchema", "outputSchema"})
_NAMES = frozenset({"properties", "$defs", "definitions", "patternProperties", "dependentSchemas"})
_PROSE = frozenset({"description", "markdownDescription"})


def surfaces(sessions: Iterable[Session]) -> Iterator[Surface]:
    """All texts of a run; equal texts of one place once, in the order they were seen."""
    seen: set[tuple[str, str, str]] = set()
    walked: set[int] = set()
    for session in sessions:
        for surface in _of(session, walked):
            key = surface.subject, surface.pointer, surface.text
            if key not in seen:
                seen.add(key)
                yield surface


def _of(session: Session, walked: set[int]) -> Iterator[Surface]:
    transcript = session.transcript
    if transcript.instructions:
        yield Surface(
            "server", "/instructions", Kind.DESCRIPTION, transcript.instructions, session, None
        )
    for pointer, _, text in _strings(transcript.server_info, "/serverInfo", MAX_DEPTH):
        kind = Kind.NAME if pointer == "/serverInfo/name" else Kind.DESCRIPTION
        yield Surface("server", pointer, kind, text, session, None)
    for listing in transcript.listings:
        # Equal listings share their items: what was walked once need not be walked again.
        if id(listing.items) in walked:
            continue
        walked.add(id(listing.items))
        for item in listing.items:
            if isinstance(item, dict):
                subject = f"{listing.kind.value}/{item.get(NAME_KEY[listing.kind])}"
                for pointer, kind, text in texts_of(item):
                    yield Surface(subject, pointer, kind, text, session, listing.kind)


def texts_of(item: dict[str, Json]) -> Iterator[tuple[str, Kind, str]]:
    """(pointer, what it is, text) of every text of a listed item."""
    for key, value in item.items():
        pointer = "/" + _escaped(key)
        if key in _SCHEMAS:
            yield from _schema_texts(value, pointer, MAX_DEPTH)
        elif key in {"name", "uri", "uriTemplate"} and isinstance(value, str):
            yield pointer, Kind.NAME, value
        elif key == "arguments" and isinstance(value, list):
            for where, last, text in _strings(value, pointer, MAX_DEPTH):
                yield where, Kind.NAME if last == "name" else Kind.DESCRIPTION, text
        else:
            for where, _, text in _strings(value, pointer, MAX_DEPTH):
                yield where, Kind.DESCRIPTION, text


def _schema_texts(node: Json, pointer: str, depth: int) -> Iterator[tuple[str, Kind, str]]:
    if not depth:
        return
    if isinstance(node, str):
        yield pointer, Kind.SCHEMA, node
    elif isinstance(node, list):
        for number, value in enumerate(node):
            yield from _schema_texts(value, f"{pointer}/{number}", depth - 1)
    elif isinstance(node, dict):
        for key, value in node.items():
            where = f"{pointer}/{_escaped(key)}"
            if key in _PROSE and isinstance(value, str):
                yield where, Kind.DESCRIPTION, value
            elif key in _NAMES and isinstance(value, dict):
                for name, inner in value.items():
                    yield f"{where}/{_escaped(name)}", Kind.NAME, name
                    yield from _schema_texts(inner, f"{where}/{_escaped(name)}", depth - 2)
            else:
                yield from _schema_texts(value, where, depth - 1)


def strings_of(value: Json, pointer: str) -> Iterator[tuple[str, str, str]]:
    """(pointer, last key, text) of every string in a value."""
    return _strings(value, pointer, MAX_DEPTH)


def _strings(value: Json, pointer: str, depth: int) -> Iterator[tuple[str, str, str]]:
    """(pointer, last key, text) of every string; keys are not texts here."""
    if isinstance(value, str):
        yield pointer, pointer.rpartition("/")[2], value
    elif isinstance(value, list) and depth:
        for number, item in enumerate(value):
            yield from _strings(item, f"{pointer}/{number}", depth - 1)
    elif isinstance(value, dict) and depth:
        for key, item in value.items():
            yield from _strings(item, f"{pointer}/{_escaped(key)}", depth - 1)


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def quote(text: str, length: int = 200) -> str:
    """A text for a message: one line, what cannot be seen shown by its code, cut to ``length``."""
    line = " ".join(text[: length * 4].split())
    shown = "".join(one if one.isprintable() else f"\\u{{{ord(one):x}}}" for one in line)
    return shown if len(shown) <= length else shown[: length - 1] + "…"


def place(pointer: str) -> str:
    """A pointer as the beginning of a sentence: ``/title`` -> ``The text at /title``."""
    return f"The text at {pointer}" if pointer else "The text"
