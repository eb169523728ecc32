"""What we answer when a server asks its client for something.

The same table serves requests on the wire (handshake era) and ``input_required`` results (stateless
era). Every answer is constant, so that two runs hold the same conversation.
"""

from __future__ import annotations

from dataclasses import dataclass

from mcp_sandbox.model import Json

METHOD_NOT_FOUND = -32601


@dataclass(frozen=True)
class Answer:
    """What one server request gets."""

    capability: str
    """The client capability that permits the request; empty when it is always allowed."""
    result: Json


ANSWERS: dict[str, Answer] = {
    "ping": Answer("", {}),
    "roots/list": Answer("roots", {"roots": [{"uri": "file:///tmp", "name": "tmp"}]}),
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
