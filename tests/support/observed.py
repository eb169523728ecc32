"""Small observations, made by hand: what a rule needs and nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from mcp_sandbox.model import (
    COMPLETE,
    Act,
    Call,
    CallStatus,
    CanaryHit,
    Confidence,
    ContainerFacts,
    Era,
    Evidence,
    Finding,
    Identity,
    ImageFacts,
    ItemKind,
    KernelEvent,
    LaunchFacts,
    Listing,
    Moment,
    Observations,
    Relaxation,
    RiskClass,
    Session,
    SessionEnd,
    SinkEvent,
    SinkKind,
    StopStage,
    TmpfsEntry,
    Transcript,
    Window,
    Witness,
)

IDENTITY = Identity("a host", "1.0", {"roots": {}})
OTHER_IDENTITY = Identity("another host", "2.0", {"roots": {}})
WITNESSES = {witness.value: COMPLETE for witness in Witness}
LAUNCH = LaunchFacts(entrypoint=("python", "server.py"), user="65532")


def tool(name: str = "find", description: str = "Find a thing.", /, **properties: Any) -> Any:
    """A listed tool; a property given as text is a string with that description."""
    made = {
        key: {"type": "string", "description": value} if isinstance(value, str) else value
        for key, value in properties.items()
    }
    schema = {"type": "object", "properties": made, "required": list(made)}
    return {"name": name, "description": description, "inputSchema": schema}


def text(said: str, **more: Any) -> str:
    """The raw result of a tool that answers with a text."""
    return json.dumps({"content": [{"type": "text", "text": said}], **more}, ensure_ascii=False)


def call(family: str = "valid", value: Any = "notes", said: str = "Done.", **changes: Any) -> Call:
    """A call of the tool ``find`` with ``value`` for ``name``."""
    status = changes.pop("status", CallStatus.RESULT)
    one = Call(
        number=1,
        kind=ItemKind.TOOLS,
        target="find",
        parameter="" if family == "valid" else "/name",
        family=family,
        payload="" if family == "valid" else "one",
        nonce="" if family == "valid" else "nq7w3k9zt2ab",
        arguments={"name": value},
        status=status,
        reply=text(said, isError=True) if status is CallStatus.TOOL_ERROR else text(said),
    )
    return replace(one, **changes)


def listings(*tools: Any, after: tuple[Any, ...] | None = None) -> tuple[Listing, ...]:
    """Both listings of every kind; only tools are offered."""
    found = []
    for moment in Moment:
        for kind in ItemKind:
            if kind is ItemKind.TOOLS:
                items = after if after is not None and moment is Moment.AFTER else tools
                found.append(Listing(kind, moment, tuple(items)))
            else:
                found.append(Listing(kind, moment, (), "not offered"))
    return tuple(found)


def session(
    *calls: Call,
    tools: tuple[Any, ...] = (),
    after: tuple[Any, ...] | None = None,
    container: dict[str, Any] | None = None,
    **transcript: Any,
) -> Session:
    """A session that was held to its end, whatever is said otherwise."""
    facts: dict[str, Any] = {
        "role": "main",
        "era": Era.HANDSHAKE,
        "identity": IDENTITY,
        "end": SessionEnd.COMPLETED,
        "offered_version": "2025-11-25",
        "version": "2025-11-25",
        "server_info": {"name": "things", "version": "1.0"},
        "listings": listings(*(tools or (tool(name="The name."),)), after=after),
        "calls": tuple(replace(one, number=at) for at, one in enumerate(calls, start=1)),
    }
    engine: dict[str, Any] = {
        "relaxation": Relaxation.NONE,
        "user": "65532:65532",
        "command_line": ("docker", "run", "--rm", "-i", "sha256:00"),
        "stop": StopStage.STDIN_CLOSED,
        "exit_code": 0,
        "witnesses": WITNESSES,
    }
    return Session(
        Transcript(**facts | transcript),
        ContainerFacts(**engine | (container or {})),
        evidence="1-main",
    )


def observed(*sessions: Session, launch: LaunchFacts = LAUNCH, **more: Any) -> Observations:
    """Observations of some sessions."""
    image = ImageFacts(reference="things", id="sha256:00", launch=launch)
    return Observations(image=image, sessions=sessions or (session(),), **more)


def listed(*tools: Any, **more: Any) -> Observations:
    """Observations of a server that lists these tools, without calls."""
    return observed(session(tools=tools, **more))


def called(*calls: Call, **more: Any) -> Observations:
    """Observations of a server that was called."""
    return observed(session(*calls, **more))


def finding(
    class_: RiskClass, rule: str = "hang", number: int = 0, suppressed: str = ""
) -> Finding:
    """A finding of some class; ``number`` tells it from others."""
    return Finding(
        rule=rule,
        class_=class_,
        confidence=Confidence.HIGH,
        evidence=Evidence.E3,
        subject="server",
        message="It did.",
        fingerprint=f"{number:064x}",
        suppressed=suppressed,
    )


def did(
    act: Act, thing: str, call: int = 1, result: str = "ok", detail: str = "", **changes: Any
) -> KernelEvent:
    """Something that the kernel recorded; ``call=0`` outside the calls, at start-up."""
    one = KernelEvent(
        act=act,
        object=thing,
        result=result,
        window=Window.CALL if call else Window.START,
        call=call,
        program="/usr/bin/python3.13",
        detail=detail,
        line=7,
    )
    return replace(one, **changes)


def arrived(kind: SinkKind, host: str, port: int = 443, call: int = 1, **changes: Any) -> SinkEvent:
    """Something that arrived at the sink; ``call=0`` outside the calls, at start-up."""
    one = SinkEvent(
        kind=kind,
        host=host,
        port=port,
        window=Window.CALL if call else Window.START,
        call=call,
        line=3,
    )
    return replace(one, **changes)


def canary(place: str) -> tuple[CanaryHit, ...]:
    """A planted secret that was found as it was planted."""
    return (CanaryHit(place, "plain"),)


def file(path: str) -> TmpfsEntry:
    """A file in the tmpfs."""
    return TmpfsEntry(path, "file", 0)
