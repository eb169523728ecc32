"""A lock taken from a run: what the server presented, what it did, and why not where that is so."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from mcp_sandbox.baseline import behaviour, file
from mcp_sandbox.baseline.normalise import Normaliser, strings, variables, writable
from mcp_sandbox.model import (
    COMPLETE,
    ImageFacts,
    ItemKind,
    Json,
    Limits,
    Listing,
    Moment,
    Network,
    Observations,
    Profile,
    Session,
    SessionEnd,
    Tls,
    Tracing,
    Transcript,
    Witness,
)
from mcp_sandbox.model.locked import SERVER, Ceilings, Item, Launch, Lock, Taken

MAIN, UNTRACED = "main", "untraced"
"""Roles of sessions: the plan, and the same with nothing watching but the sink."""
NOT_OFFERED = "not offered"
NAME_KEY: dict[ItemKind, str] = {
    ItemKind.TOOLS: "name",
    ItemKind.PROMPTS: "name",
    ItemKind.RESOURCES: "uri",
    ItemKind.TEMPLATES: "uriTemplate",
}
MAX_DEPTH = 64
"""Levels of nesting of an item that a lock keeps."""
TOO_DEEP = "left out: nested too deep"
MAX_TEXT = file.MAX_BYTES // 4
"""Characters of all that is listed."""
MAX_REASON = 200
_DEAD = frozenset({SessionEnd.NEVER_ANSWERED, SessionEnd.REFUSED})
_FILE = "file:"


def take(
    observations: Observations,
    *,
    scanner: str,
    profile: Profile,
    score: float | None,
    network: Network,
    tls: Tls,
) -> Taken:
    """The lock of a run. Pure; ``incomplete`` says why it must not become a lock file.

    ``scanner``: our version. ``score``: by our own rules alone.
    """
    mains = _watched(observations.sessions)
    opened = [one for one in mains if one.transcript.end not in _DEAD]
    seen = behaviour.observe(
        mains,
        [one for one in observations.sessions if one.transcript.role == UNTRACED],
        frozenset(
            place.removeprefix(_FILE) for place in observations.planted if place.startswith(_FILE)
        ),
        observations.image.launch.working_dir,
    )
    transcript = opened[0].transcript if opened else None
    normaliser = Normaliser(_constant(transcript, observations.sessions))
    listed = _listed(transcript)
    items = tuple(_item(normaliser, kind, name, raw) for (kind, name), raw in listed.items())
    uncalled = {
        f"{ItemKind.TOOLS.value}/{name}"
        for one in mains
        for name in map(writable, one.transcript.not_called)
        if (ItemKind.TOOLS, name) in listed
    }
    lock = Lock(
        scanner=scanner,
        profile=profile,
        network=network,
        tls=tls,
        # An empty object is written as nothing at all, and so has to be nothing here.
        server=_plain(normaliser.json(transcript.server_info, SERVER)) or None
        if transcript
        else None,
        capabilities=_plain(normaliser.json(transcript.capabilities, SERVER)) or None
        if transcript
        else None,
        instructions=normaliser.text(transcript.instructions, SERVER) if transcript else "",
        items=tuple(sorted(items, key=lambda item: item.subject)),
        behaviour=seen.behaviour,
        uncalled=tuple(sorted(uncalled)),
        launch=_launch(observations.image),
        ceilings=_ceilings(observations.limits, opened),
        score=score,
        normalised=tuple(sorted({*normaliser.said, *seen.normalised})),
    )
    incomplete = dict.fromkeys(
        [*_unfinished(mains, opened, network), *_unlisted(transcript), *_unreached(mains, listed)]
        + [f"More was done than a lock takes: {one}." for one in seen.crowded]
    )
    return Taken(lock=lock, seen=seen.seen, incomplete=tuple(incomplete))


def _watched(sessions: Sequence[Session]) -> list[Session]:
    """The main sessions; where the tracer inside was shown too little, those traced outside."""
    mains = [one for one in sessions if one.transcript.role == MAIN]
    outside = [one for one in mains if one.container.tracing is Tracing.OUTSIDE]
    return outside or mains


# --- what is presented ----------------------------------------------------------------------------


def _listed(transcript: Transcript | None) -> dict[tuple[ItemKind, str], dict[str, Json]]:
    """(Kind, name) -> the item as it was listed before the calls; the first of each name."""
    found: dict[tuple[ItemKind, str], dict[str, Json]] = {}
    for listing in _before(transcript):
        key = NAME_KEY[listing.kind]
        for raw in listing.items:
            if isinstance(raw, dict) and isinstance(raw.get(key), str):
                found.setdefault((listing.kind, writable(raw[key])), raw)
    return found


def _before(transcript: Transcript | None) -> Iterator[Listing]:
    for listing in transcript.listings if transcript else ():
        if listing.moment is Moment.BEFORE:
            yield listing


def _constant(transcript: Transcript | None, sessions: Sequence[Session]) -> frozenset[str] | None:
    """Tokens that every session presented; ``None`` where there is no second one to tell."""
    others = [
        _presented(one.transcript)
        for one in sessions
        if one.transcript is not transcript and any(one.items for one in one.transcript.listings)
    ]
    if transcript is None or not others:
        return None
    return frozenset.intersection(_presented(transcript), *others)


def _presented(transcript: Transcript) -> frozenset[str]:
    values: list[Json] = [
        transcript.server_info,
        transcript.capabilities,
        transcript.instructions,
        *(list(listing.items) for listing in _before(transcript)),
    ]
    return variables(strings(values))


def _item(normaliser: Normaliser, kind: ItemKind, name: str, raw: dict[str, Json]) -> Item:
    where = f"{kind.value}/{name}"
    rest = {key: value for key, value in raw.items() if key != NAME_KEY[kind]}
    title, description = rest.get("title"), rest.get("description")
    for key, value in (("title", title), ("description", description)):
        if isinstance(value, str):
            del rest[key]
    item = Item(
        kind=kind,
        name=name,
        digest="",
        title=normaliser.text(title, where) if isinstance(title, str) else "",
        description=normaliser.text(description, where) if isinstance(description, str) else "",
        definition=_plain(normaliser.json(rest, where)),
    )
    return replace(item, digest=file.digest(item))


_UNORDERED = frozenset({"required", "enum"})
"""Lists whose order means nothing in JSON Schema: a set of the server's may give another one each
time."""


def _plain(value: Json, depth: int = 0, key: str = "") -> Json:
    """Only what a lock file can carry, and in one order."""
    if depth == MAX_DEPTH and isinstance(value, dict | list | tuple):
        return _digested(value)
    if isinstance(value, dict):
        return {name: _plain(item, depth + 1, name) for name, item in value.items()}
    if isinstance(value, list | tuple):
        kept = [_plain(item, depth + 1) for item in value]
        if key in _UNORDERED and all(isinstance(item, str) for item in kept):
            kept.sort()
        return kept
    if isinstance(value, float):
        whole = value.is_integer() and abs(value) < 2**53
        return int(value) if whole else value if abs(value) < float("inf") else str(value)
    if isinstance(value, int) and abs(value) > 10**300:
        return "left out: a number of more than 300 digits"
    return value


def _digested(value: Json) -> str:
    """What stands for the rest: it is not kept, and a change of it is seen."""
    try:
        data = json.dumps(value, sort_keys=True).encode("ascii")
    except RecursionError:
        return TOO_DEEP
    return f"{TOO_DEEP}, SHA-256 {hashlib.sha256(data).hexdigest()}"


# --- how it was started ---------------------------------------------------------------------------

_LONG = 256
_SECRET = re.compile(
    r"pass(?:word|wd|phrase)?$|secret|token|credential|private|api_?key|access_?key|_key$|_pat$"
    r"|dsn$|database_url|connection_string",
    re.IGNORECASE,
)


def _launch(image: ImageFacts) -> Launch:
    facts = image.launch
    return Launch(
        entrypoint=facts.entrypoint,
        command=facts.command,
        user=facts.user,
        working_dir=facts.working_dir,
        environment=tuple(sorted(_setting(writable(one)) for one in facts.environment)),
        exposed_ports=tuple(sorted(facts.exposed_ports)),
        volumes=tuple(sorted(facts.volumes)),
    )


def _setting(pair: str) -> str:
    name, equals, value = pair.partition("=")
    if value and (len(value) > _LONG or _SECRET.search(name)):
        value = "sha256:" + hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()[:32]
    return f"{name}{equals}{value}"


def _ceilings(limits: Limits, opened: Sequence[Session]) -> Ceilings:
    ceilings = Ceilings(memory=limits.memory, cpus=limits.cpus, pids=limits.pids)
    return replace(ceilings, relaxation=opened[0].container.relaxation) if opened else ceilings


# --- why it must not become a lock file -----------------------------------------------------------


def _unfinished(
    mains: Sequence[Session], opened: Sequence[Session], network: Network
) -> Iterator[str]:
    if not opened:
        yield "The server did not answer."
        return
    last = opened[-1].transcript
    if last.end is not SessionEnd.COMPLETED:
        detail = f" ({last.end_detail})" if last.end_detail else ""
        yield f"The main session was not completed: {last.end.value}{detail}"[:MAX_REASON] + "."
    wanted = [Witness.TRACE, *([Witness.SINK] if network is Network.SINK else [])]
    for session in mains:
        for witness in wanted:
            state = session.container.witnesses.get(witness.value, "no word of it")
            if state != COMPLETE:
                yield f"The witness {witness.value!r} is not complete: {state}"[:MAX_REASON] + "."


def _unlisted(transcript: Transcript | None) -> Iterator[str]:
    if transcript is None:
        return
    found = {listing.kind: listing for listing in _before(transcript)}
    size = 0
    for kind in ItemKind:
        listing = found.get(kind)
        state = listing.state if listing else "it was not asked for"
        if state not in {COMPLETE, NOT_OFFERED}:
            yield f"The list of {kind.value} is not whole: {state}"[:MAX_REASON] + "."
        items = listing.items if listing else ()
        names = [str(raw.get(NAME_KEY[kind])) for raw in items if isinstance(raw, dict)]
        for name in sorted(one for one, count in Counter(names).items() if count > 1):
            yield f"Two {kind.value} have the name {name[:100]!r}."
        size += sum(len(text) for text in strings(list(items)))
    if size > MAX_TEXT:
        yield f"More is listed than a lock file takes: {size} characters."


def _unreached(mains: Sequence[Session], listed: Iterable[tuple[ItemKind, str]]) -> Iterator[str]:
    called = {(call.kind, writable(call.target)) for one in mains for call in one.transcript.calls}
    refused = {writable(name) for one in mains for name in one.transcript.not_called}
    for kind, name in listed:
        reached = (kind, name) in called or name in refused
        if kind is ItemKind.TOOLS and not reached:
            yield f"The tool {name[:100]!r} was not reached."
