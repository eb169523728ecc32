"""All pages of a list, bounded; one bad item never loses the rest."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable

from mcp_sandbox.model import COMPLETE, BreachKind, CallStatus, ItemKind, Json, Listing, Moment
from mcp_sandbox.probe.conversation import Conversation, Reply
from mcp_sandbox.probe.pipe import BudgetExhausted
from mcp_sandbox.probe.wire import MAX_DEPTH

MAX_PAGES = 200
MAX_ITEMS = 2_000
"""Items of one list that are kept; further ones go into the digest only."""
MAX_ITEM_TEXT = 64 * 2**10
"""Characters kept of one string inside an item."""
MAX_ITEM = 512 * 2**10
"""Bytes of one item's JSON; of a larger one only its top-level strings are kept."""

METHODS: dict[ItemKind, tuple[str, str]] = {
    ItemKind.TOOLS: ("tools/list", "tools"),
    ItemKind.PROMPTS: ("prompts/list", "prompts"),
    ItemKind.RESOURCES: ("resources/list", "resources"),
    ItemKind.TEMPLATES: ("resources/templates/list", "resources"),
}
"""Kind -> method, and the server capability under which it is offered."""

NAME_KEY: dict[ItemKind, str] = {
    ItemKind.TOOLS: "name",
    ItemKind.PROMPTS: "name",
    ItemKind.RESOURCES: "uri",
    ItemKind.TEMPLATES: "uriTemplate",
}
"""The member that identifies an item of each kind."""

METHOD_NOT_FOUND = -32601

TIMED_OUT = f"broke off: {CallStatus.TIMEOUT.value}"
"""State of a listing that was not answered in time."""

Ask = Callable[[str, dict[str, Json]], Reply]


def take(
    conversation: Conversation, ask: Ask, kind: ItemKind, moment: Moment, *, offered: bool
) -> Listing:
    """Ask for page after page. ``state`` says why a listing is not whole.

    ``offered``: the server declared the capability. Without it the list is asked for once all the
    same, because tools that are not announced are still callable.
    """
    method, _ = METHODS[kind]
    kept = _Kept(conversation, kind)
    cursors: set[str] = set()
    params: dict[str, Json] = {}
    for page in range(MAX_PAGES):
        try:
            reply = ask(method, params)
        except BudgetExhausted as error:
            # What was listed so far still counts; the caller sees `conversation.exhausted`.
            return kept.listing(moment, f"broke off: {error}")
        if reply.status is not CallStatus.RESULT:
            return kept.listing(moment, _why(reply, offered=offered, first=page == 0))
        if not kept.take(reply):
            return kept.listing(moment, f"the answer holds no list {kind.value!r}")
        cursor = reply.body.get("nextCursor")
        if cursor is None:
            return kept.listing(moment, COMPLETE)
        if not isinstance(cursor, str) or cursor in cursors:
            conversation.breach(BreachKind.CURSOR_LOOP, f"{method}: {str(cursor)[:64]!r} again")
            return kept.listing(moment, "the cursor repeats")
        cursors.add(cursor)
        params = {"cursor": cursor}
    conversation.breach(BreachKind.TOO_MANY_PAGES, f"{method}: more than {MAX_PAGES} pages")
    return kept.listing(moment, f"stopped after {MAX_PAGES} pages")


class _Kept:
    """What the pages of one list have brought so far."""

    def __init__(self, conversation: Conversation, kind: ItemKind) -> None:
        self._conversation = conversation
        self._kind = kind
        self._items: list[Json] = []
        self._digest = hashlib.sha256()
        self._total = 0

    def take(self, reply: Reply) -> bool:
        """Take in one page; False when it holds no list."""
        found = reply.body.get(self._kind.value)
        if not isinstance(found, list):
            self._conversation.breach(
                BreachKind.MALFORMED_RESPONSE, f"no list {self._kind.value!r}", reply.raw
            )
            return False
        for item in found:
            self._total += 1
            raw = canonical(item)
            self._digest.update(raw + b"\n")
            if len(self._items) < MAX_ITEMS and _usable(self._conversation, self._kind, item, raw):
                self._items.append(bounded(item))
        return True

    def listing(self, moment: Moment, state: str) -> Listing:
        """All that was taken; ``state`` gives way where items were left out."""
        if self._total > MAX_ITEMS:
            self._conversation.breach(
                BreachKind.TOO_MANY_ITEMS, f"{self._kind.value}: {self._total} items"
            )
            state = f"{self._total} items, of which the first {MAX_ITEMS} were looked at"
        _note_duplicates(self._conversation, self._kind, self._items)
        digest = self._digest.hexdigest()
        return Listing(self._kind, moment, tuple(self._items), state, digest)


def _why(reply: Reply, *, offered: bool, first: bool) -> str:
    body = reply.body
    if first and reply.status is CallStatus.RPC_ERROR:
        if not offered or body.get("code") == METHOD_NOT_FOUND:
            return "not offered"
        return f"answered by error {body.get('code')}: {str(body.get('message', ''))[:200]}"
    return f"broke off: {reply.status.value}"


def _usable(conversation: Conversation, kind: ItemKind, item: Json, raw: bytes) -> bool:
    name = item.get(NAME_KEY[kind]) if isinstance(item, dict) else None
    if isinstance(name, str) and name:
        return True
    what = "no object" if not isinstance(item, dict) else f"no {NAME_KEY[kind]!r} that is a string"
    conversation.breach(BreachKind.MALFORMED_ITEM, f"{kind.value}: {what}", raw)
    return False


def _note_duplicates(conversation: Conversation, kind: ItemKind, items: list[Json]) -> None:
    seen: set[str] = set()
    for item in items:
        name = item[NAME_KEY[kind]]
        if name in seen:
            conversation.breach(BreachKind.DUPLICATE_NAME, f"{kind.value}: {name[:64]!r}")
        seen.add(name)


def canonical(item: Json) -> bytes:
    """An item as bytes that are equal when the items are."""
    try:
        return json.dumps(item, sort_keys=True).encode()
    except RecursionError:
        return json.dumps(shortened(item), sort_keys=True).encode()


def bounded(value: Json) -> Json:
    """A peer's value that is kept: no long string, no deep nesting, at most ``MAX_ITEM`` bytes."""
    kept = shortened(value)
    size = len(canonical(kept))
    if size <= MAX_ITEM:
        return kept
    if not isinstance(kept, dict):
        return f"… ({size} bytes)"
    strings = {key: text for key, text in list(kept.items())[:32] if isinstance(text, str)}
    return {key[:256]: text[:MAX_ITEM_TEXT] for key, text in strings.items()} | {
        "…": f"{size} bytes"
    }


def shortened(value: Json, depth: int = MAX_DEPTH) -> Json:
    """``value`` with strings cut to ``MAX_ITEM_TEXT`` characters and ``depth`` levels kept."""
    if isinstance(value, str):
        return value if len(value) <= MAX_ITEM_TEXT else _cut(value)
    if isinstance(value, list | dict):
        if depth == 0:
            return "… (nested deeper)"
        if isinstance(value, list):
            return [shortened(item, depth - 1) for item in value]
        return {shortened(key): shortened(item, depth - 1) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # 1e999 is valid JSON on the way in and none on the way out
    return value


def _cut(text: str) -> str:
    return text[:MAX_ITEM_TEXT] + f"… ({len(text)} characters)"
