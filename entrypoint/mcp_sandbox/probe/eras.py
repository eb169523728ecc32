"""How each era of the protocol opens a conversation and words a request.

Handshake era (2024-11-05 … 2025-11-25): ``initialize``, then ``notifications/initialized``.
Stateless era (2026-07-28): ``server/discover``; version, client and capabilities in ``_meta`` of
every request; answers may be ``input_required`` and are retried with ours.
"""

from __future__ import annotations

from dataclasses import dataclass

from mcp_types.version import (
    HANDSHAKE_PROTOCOL_VERSIONS,
    LATEST_HANDSHAKE_VERSION,
    LATEST_MODERN_VERSION,
)

from mcp_sandbox.model import BreachKind, CallStatus, Era, Identity, Json
from mcp_sandbox.probe import answers
from mcp_sandbox.probe.conversation import Conversation, Reply

INPUT_ROUNDS = 3
"""How often an ``input_required`` result is answered before the call is given up."""

UNSUPPORTED_VERSION = -32022
"""Error code of a server that does not speak the version of a request (2026-07-28)."""

META = "io.modelcontextprotocol/"
"""Prefix of the reserved ``_meta`` keys (2026-07-28)."""


@dataclass(frozen=True)
class Opening:
    """What the opening exchange told."""

    agreed: bool
    detail: str = ""
    offered: str = ""
    version: str = ""
    server_info: Json = None
    capabilities: Json = None
    instructions: str = ""


def offered_version(era: Era) -> str:
    """The newest version of an era, which is what hosts offer."""
    return LATEST_HANDSHAKE_VERSION if era is Era.HANDSHAKE else LATEST_MODERN_VERSION


def opening_request(era: Era, identity: Identity) -> tuple[str, Json]:
    """Method and parameters of the first message."""
    if era is Era.STATELESS:
        return "server/discover", with_meta(era, identity, {})
    return "initialize", {
        "protocolVersion": offered_version(era),
        "capabilities": identity.capabilities,
        "clientInfo": {"name": identity.name, "version": identity.version},
    }


def with_meta(era: Era, identity: Identity, params: dict[str, Json]) -> dict[str, Json]:
    """``params`` as this era wants them on the wire."""
    if era is Era.HANDSHAKE:
        return params
    return params | {
        "_meta": {
            META + "protocolVersion": offered_version(era),
            META + "clientInfo": {"name": identity.name, "version": identity.version},
            META + "clientCapabilities": identity.capabilities,
        }
    }


def open_session(
    conversation: Conversation, era: Era, identity: Identity, timeout: float
) -> tuple[Reply, Opening]:
    """Hold the opening exchange. Whatever the peer answers is kept; nothing is trusted."""
    method, params = opening_request(era, identity)
    reply = conversation.request(method, params, timeout)
    offered = offered_version(era)
    if _names_version(reply, offered):
        # It may have meant another request: a client retries with a version that the server names.
        reply = conversation.request(method, params, timeout)
    if reply.status is not CallStatus.RESULT:
        return reply, Opening(False, _why_refused(reply, method), offered)
    body = reply.body
    info = body.get("serverInfo")
    if era is Era.STATELESS:
        meta = body.get("_meta")
        info = meta.get(META + "serverInfo") if isinstance(meta, dict) else info
        versions = body.get("supportedVersions")
        known = isinstance(versions, list) and offered in versions
        version = offered if known else ""
        # It may tell of itself in this era, and speak the other one alone.
        older = isinstance(versions, list) and not known and _handshake(versions)
    else:
        given = body.get("protocolVersion")
        known = isinstance(given, str) and given in HANDSHAKE_PROTOCOL_VERSIONS
        version = given if known else ""
        older = False
        if not (isinstance(info, dict) and isinstance(info.get("name"), str)):
            conversation.breach(
                BreachKind.MISSING_SERVER_INFO, "no serverInfo with a name", reply.raw
            )
    if not known and not older:
        conversation.breach(
            BreachKind.UNKNOWN_VERSION, f"{offered} was offered; not a known version", reply.raw
        )
    instructions = body.get("instructions")
    opening = Opening(
        agreed=known or era is Era.HANDSHAKE,
        detail="" if known else _why_not(older=older),
        offered=offered,
        version=version,
        server_info=info,
        capabilities=body.get("capabilities"),
        instructions=instructions if isinstance(instructions, str) else "",
    )
    if era is Era.HANDSHAKE:
        conversation.notify("notifications/initialized")
    return reply, opening


def _handshake(versions: list[Json]) -> bool:
    """Whether versions of the handshake era are named, and nothing else."""
    return bool(versions) and all(
        isinstance(one, str) and one in HANDSHAKE_PROTOCOL_VERSIONS for one in versions
    )


def _why_not(*, older: bool) -> str:
    if older:
        return "the server names versions of the handshake era alone"
    return "the server names no version that this client knows"


def _names_version(reply: Reply, offered: str) -> bool:
    """Whether a refusal for its version says that the offered one is supported."""
    body = reply.body
    if reply.status is not CallStatus.RPC_ERROR or body.get("code") != UNSUPPORTED_VERSION:
        return False
    data = body.get("data")
    supported = data.get("supported") if isinstance(data, dict) else None
    return isinstance(supported, list) and offered in supported


def _why_refused(reply: Reply, method: str) -> str:
    if reply.status is CallStatus.RPC_ERROR and isinstance(reply.body, dict):
        message = str(reply.body.get("message", ""))[:200]
        return f"{method} was answered by error {reply.body.get('code')}: {message}"
    return f"{method}: {reply.status.value}"


def answer_inputs(identity: Identity, params: dict[str, Json], body: Json) -> dict[str, Json]:
    """The retry's parameters: the server's state as it gave it, and our answer to each request."""
    retry = dict(params)
    if isinstance(state := body.get("requestState"), str):
        retry["requestState"] = state
    requests = body.get("inputRequests")
    responses: dict[str, Json] = {}
    if isinstance(requests, dict):
        for key, request in list(requests.items())[:16]:
            method = str(request.get("method")) if isinstance(request, dict) else ""
            if answers.permitted(method, identity.capabilities):
                responses[key] = answers.result(method, identity)
    if responses:
        retry["inputResponses"] = responses
    return retry
