"""How it shows that a call's input was carried out: results that only carrying it out can give."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mcp_sandbox.model import Act, Call, KernelEvent, SinkEvent
from mcp_sandbox.rules import capability, witnessed
from mcp_sandbox.rules.context import Context, Made
from mcp_sandbox.rules.replies import sent
from mcp_sandbox.rules.surfaces import quote
from mcp_sandbox.rules.witnessed import OK


@dataclass(frozen=True)
class Proof:
    """How it shows that a call's input was carried out."""

    how: str
    kernel: tuple[KernelEvent, ...] = ()
    sink: tuple[SinkEvent, ...] = ()


def proven(context: Context, made: Made) -> Proof | None:
    """The best proof that a call's input was carried out; ``None`` when there is none."""
    call = made.call
    events = witnessed.during(context, made)
    kernel = tuple(event for event in events if _makes(event, call.effect))[:1]
    if context.exists(made):
        return Proof(f"the file {quote(call.effect, 80)} exists afterwards", kernel)
    if call.proven:
        return Proof(f"the reply holds the computed {call.expected}", kernel)
    if kernel:
        return Proof(f"the file {quote(call.effect, 80)} was made", kernel)
    return next(_elsewhere(context, made, events), None)


def _elsewhere(context: Context, made: Made, events: tuple[KernelEvent, ...]) -> Iterator[Proof]:
    """Proofs that neither the reply nor a file shows."""
    call = made.call
    for event in events:
        if event.act is Act.EXEC and _computed(call, event.detail):
            told = f"“{quote(event.detail, 120)}” was run, with the computed {call.expected}"
            yield Proof(told, (event,))
        elif event.act is Act.EXEC and (told := _split(context, made, event)):
            yield Proof(told, (event,))
    for arrival in witnessed.reached(context, made) if call.expected else ():
        if _computed(call, f"{arrival.host} {arrival.text}"):
            told = (
                f"the computed {call.expected} arrived at the sink, for {quote(arrival.host, 80)}"
            )
            yield Proof(told, sink=(arrival,))


_MAKES = frozenset({Act.WRITE, Act.MKDIR, Act.LINK, Act.MKNOD})


def _makes(event: KernelEvent, effect: str) -> bool:
    """The file whose existence is the proof was made, be it gone by now."""
    return bool(effect) and event.object == effect and event.result == OK and event.act in _MAKES


def _computed(call: Call, text: str) -> bool:
    """What the input only asks to be computed stands there, and not in the input."""
    return (
        bool(call.expected)
        and call.expected in text
        and not any(call.expected in ours for ours in sent(call))
    )


def _split(context: Context, made: Made, event: KernelEvent) -> str:
    """A program that our text names was started with a piece of our text as its own argument.

    Only a shell or an option parser takes a value apart like that. The value as one argument, or
    quoted inside another, proves nothing; nor does a program that the tool runs ordinarily.
    """
    nonce = made.call.nonce
    value = str(capability.value_at(made.call.arguments, made.call.parameter))
    name = witnessed.program(event)
    if not nonce or nonce not in value or event.object.rpartition("/")[2] == value:
        return ""
    if event.object.rpartition("/")[2] == nonce and value != nonce:
        return f"a program named {nonce} was looked for, as a part of the input says"
    if event.result != OK or name not in re.findall(r"[\w.-]+", value):
        return ""
    pieces = [word for word in witnessed.argv(event)[1:] if nonce in word]
    if not pieces or any(value.strip() in word for word in pieces):
        return ""
    if witnessed.programs(context).in_calls(made, name):
        return ""
    return f"“{quote(event.detail, 120)}” was run, as a part of the input says"
