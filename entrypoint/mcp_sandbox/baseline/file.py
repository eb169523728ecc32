r"""``mcp-sandbox.lock.json``: a lock written canonically, and read back strictly.

Written: sorted keys, two-space indent, one value a line, one newline at the end; equal locks give
equal bytes. Letters of any script stand as they are, for a reviewer reads them; what does not print
or takes no room is written as its ``\u`` escape, for in a diff nobody would see it.

Read: at most ``MAX_BYTES``, UTF-8, no key twice, no unknown key, no coercion, not nested too deep.
The digest of an item has to fit the item: one that does not is refused, so that neither a slip of
the hand nor a forged digest goes unseen.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from mcp_sandbox.baseline import escape, strict
from mcp_sandbox.baseline.migrate import migrated
from mcp_sandbox.baseline.shape import BehaviourShape, ItemShape, LockShape
from mcp_sandbox.errors import BaselineUnreadable
from mcp_sandbox.model import ItemKind
from mcp_sandbox.model.locked import (
    BEHAVIOURS,
    IMAGE,
    SERVER,
    Behaviour,
    Ceilings,
    Item,
    Launch,
    Lock,
)

MAX_BYTES = strict.MAX_BYTES


# --- writing --------------------------------------------------------------------------------------


def dump(lock: Lock) -> bytes:
    """The canonical bytes of a lock."""
    document: dict[str, Any] = {
        "version": lock.version,
        "scanner": lock.scanner,
        "profile": lock.profile.value,
        "network": lock.network.value,
        "tls": lock.tls.value,
        "score": lock.score,
        "server": lock.server,
        "capabilities": lock.capabilities,
        "instructions": _lines(lock.instructions),
        "items": {item.subject: _item(item) for item in lock.items},
        "behaviour": {
            subject: _filled({name: list(getattr(done, name)) for name in BEHAVIOURS})
            for subject, done in lock.behaviour.items()
        },
        "uncalled": list(lock.uncalled),
        "launch": _filled(
            {
                "entrypoint": list(lock.launch.entrypoint),
                "command": list(lock.launch.command),
                "user": lock.launch.user,
                "working_dir": lock.launch.working_dir,
                "environment": list(lock.launch.environment),
                "exposed_ports": list(lock.launch.exposed_ports),
                "volumes": list(lock.launch.volumes),
            }
        ),
        "ceilings": {
            "memory": lock.ceilings.memory,
            "cpus": _number(lock.ceilings.cpus),
            "pids": lock.ceilings.pids,
            "relaxation": lock.ceilings.relaxation.value,
        },
        "normalised": list(lock.normalised),
    }
    if lock.score is not None:
        document["score"] = _number(lock.score)
    kept = {key: value for key, value in document.items() if value not in (None, [], {})}
    kept["launch"] = document["launch"]
    text = json.dumps(kept, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return (escape.shown(text) + "\n").encode("utf-8")


def digest(item: Item) -> str:
    """SHA-256 (hex) of the canonical JSON of a whole item, put together again."""
    whole = {
        "kind": item.kind.value,
        "name": item.name,
        "title": item.title,
        "description": item.description,
        "definition": item.definition,
    }
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _lines(text: str) -> list[str]:
    return text.split("\n") if text else []


def _filled(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value}


def _item(item: Item) -> dict[str, Any]:
    return {
        "digest": item.digest,
        **_filled(
            {
                "title": item.title,
                "description": _lines(item.description),
                "definition": item.definition,
            }
        ),
    }


def _number(value: float) -> float:
    return int(value) if float(value).is_integer() else value


# --- reading --------------------------------------------------------------------------------------


def load(data: bytes, name: str) -> Lock:
    """The lock in a file. ``name`` stands for the file in what is said of it.

    Raises ``BaselineUnreadable``, with one sentence that names what is wrong.
    """
    document = strict.parsed(data, name)
    try:
        shape = LockShape.model_validate(migrated(document, name))
    except ValidationError as error:
        raise BaselineUnreadable(f"{name} is damaged at {_where(error)}") from error
    items = tuple(
        sorted(
            (_read_item(subject, item, name) for subject, item in shape.items.items()),
            key=lambda item: item.subject,
        )
    )
    return Lock(
        version=shape.version,
        scanner=shape.scanner,
        profile=shape.profile,
        network=shape.network,
        tls=shape.tls,
        score=shape.score,
        server=shape.server,
        capabilities=shape.capabilities,
        instructions="\n".join(shape.instructions),
        items=items,
        behaviour={
            subject: behaviour
            for subject, done in sorted(shape.behaviour.items())
            if (behaviour := _behaviour(done)) != Behaviour()
        },
        uncalled=_sorted(shape.uncalled),
        launch=Launch(
            entrypoint=tuple(shape.launch.entrypoint),
            command=tuple(shape.launch.command),
            user=shape.launch.user,
            working_dir=shape.launch.working_dir,
            environment=_sorted(shape.launch.environment),
            exposed_ports=_sorted(shape.launch.exposed_ports),
            volumes=_sorted(shape.launch.volumes),
        ),
        ceilings=Ceilings(
            memory=shape.ceilings.memory,
            cpus=shape.ceilings.cpus,
            pids=shape.ceilings.pids,
            relaxation=shape.ceilings.relaxation,
        ),
        normalised=_sorted(shape.normalised),
    )


def _sorted(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(values)))


def _behaviour(shape: BehaviourShape) -> Behaviour:
    return Behaviour(**{name: _sorted(getattr(shape, name)) for name in BEHAVIOURS})


def _read_item(subject: str, shape: ItemShape, file: str) -> Item:
    kind, slash, name = subject.partition("/")
    if not slash or kind not in {one.value for one in ItemKind}:
        raise BaselineUnreadable(f"{file} lists {subject[:200]!r}, which is no kind of item")
    item = Item(
        kind=ItemKind(kind),
        name=name,
        digest=shape.digest,
        title=shape.title,
        description="\n".join(shape.description),
        definition=shape.definition,
    )
    if digest(item) != item.digest:
        raise BaselineUnreadable(
            f"{file} was edited by hand: the digest of {subject[:200]!r} does not fit its text"
        )
    return item


def _where(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = "/".join(str(part) for part in first["loc"])[:200]
    return f"{where or 'its top'}: {first['msg'][:200]}"


# --- places ---------------------------------------------------------------------------------------

_KEY = re.compile(r'^( {2}| {4}| {6})("(?:[^"\\]|\\.)*"): ')
_TOP = {"server": SERVER, "launch": IMAGE, "instructions": f"{SERVER}#instructions"}


def lines(data: bytes) -> dict[str, int]:
    """Subject -> its line in the file, from 1; ``SUBJECT#FIELD`` for a field of it.

    Subjects of ``items`` stand there, all others in ``behaviour``; a tool's behaviour has its line
    as ``SUBJECT#endpoints`` and the like. Empty for a file that is not laid out as ``dump`` does.
    """
    found: dict[str, int] = {}
    section = subject = ""
    for number, line in enumerate(data[:MAX_BYTES].decode("utf-8", "replace").split("\n"), start=1):
        match = _KEY.match(line)
        if match is None:
            continue
        try:
            key = str(json.loads(match[2]))
        except ValueError:
            continue
        level = len(match[1])
        if level == 2:  # noqa: PLR2004 - the indent
            section, subject = key, ""
            if key in _TOP:
                found[_TOP[key]] = number
        elif section in {"items", "behaviour"}:
            if level == 4:  # noqa: PLR2004 - the indent
                subject = key
                if section == "items" or key not in found:
                    found[key] = number
            elif subject:
                found[f"{subject}#{key}"] = number
    return found
