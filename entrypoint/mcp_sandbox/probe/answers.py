"""What we answer when a server asks its client for something.

The same table serves requests on the wire (handshake era) and ``input_required`` results (stateless
era). Every answer depends on who we said we are alone, so that two runs hold the same
conversation.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from mcp_sandbox.model import Identity, Json

METHOD_NOT_FOUND = -32601


@dataclass(frozen=True)
class Answer:
    """What one server request gets."""

    capability: str
    """The client capability that permits the request; empty when it is always allowed."""
    result: Json


ANSWERS: dict[str, Answer] = {
    "ping": Answer("", {}),
    "roots/list": Answer("roots", {"roots": []}),
    "sampling/createMessage": Answer(
        "sampling",
        {
            "role": "assistant",
            "content": {"type": "text", "text": "I have nothing to add."},
            "model": "none",
            "stopReason": "endTurn",
        },
    ),
    # Declining is the answer that gives a hostile server nothing.
    "elicitation/create": Answer("elicitation", {"action": "decline"}),
}

ALL_CAPABILITIES: dict[str, Json] = {
    "roots": {"listChanged": True},
    "sampling": {},
    "elicitation": {},
}
"""Declared by default: some servers list more tools to a client that can do more."""


def permitted(method: str, capabilities: dict[str, Json]) -> bool:
    """Whether a server may send this request to a client with these capabilities."""
    answer = ANSWERS.get(method)
    return answer is not None and (not answer.capability or answer.capability in capabilities)


def result(method: str, identity: Identity) -> Json:
    """The answer to a permitted request: a server that asks for roots gets the identity's."""
    if method == "roots/list":
        roots = [{"uri": f"file://{quote(one)}", "name": one} for one in identity.roots]
        return {"roots": roots}
    return ANSWERS[method].result
