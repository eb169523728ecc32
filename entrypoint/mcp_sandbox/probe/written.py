"""Writes up a call that has been answered: what is kept of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import NamedTuple

from mcp_sandbox.model import Call
from mcp_sandbox.probe.conversation import Find, Reply
from mcp_sandbox.probe.hostile import Input

KEPT = 4 * 2**10
"""Characters kept of one call's arguments and of its reply."""

_PLAIN = json.JSONEncoder(ensure_ascii=False)


class Made(NamedTuple):
    """A call that has been answered and is not yet written up."""

    item: Input
    sent: bytes
    reply: Reply
    line: int
    """Line of the request in the transcript."""


def written(made: Made, number: int, find: Find, mask: Callable[[str], str]) -> Call:
    """The record of a call; ``number``: its position within the session, from 1."""
    item, sent, reply, line = made
    arguments = item.arguments
    if len(sent) > KEPT:
        arguments = {"…": f"{len(sent)} bytes"}
    body = "" if reply.body is None else _PLAIN.encode(reply.body)
    expected = item.expected
    canaries = find(reply.raw) if reply.raw else ()
    return Call(
        number=number,
        kind=item.kind,
        target=item.target,
        parameter=item.parameter,
        family=item.family,
        payload=item.payload,
        nonce=item.nonce,
        arguments=arguments,
        status=reply.status,
        reply=(mask(body) if canaries else body)[:KEPT],
        reply_bytes=len(reply.raw),
        expected=expected,
        proven=bool(expected) and expected.encode() in reply.raw and expected.encode() not in sent,
        effect=item.effect,
        canaries=canaries,
        milliseconds=round(reply.milliseconds, 2),
        line=line,
        answer=reply.line,
        learned=item.learned,
    )
