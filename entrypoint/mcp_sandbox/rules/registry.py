"""How a rule is registered, and how its hits become findings.

A finding is born from its rule: a check yields ``Hit`` values and never types an id, a location, a
fingerprint or a reproducer.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from mcp_sandbox import deeds
from mcp_sandbox.model import (
    EVIDENCE,
    RISK_ORDER,
    Call,
    Confidence,
    Deed,
    Era,
    Evidence,
    Finding,
    ItemKind,
    Json,
    KernelEvent,
    Location,
    Observations,
    Profile,
    RiskClass,
    RuleInfo,
    Session,
    SinkEvent,
)
from mcp_sandbox.rules.context import Compared, Context

MAX_MESSAGE = 1_000
MAX_SEEN = 8
MAX_ABOUT = 256
"""Objects that a finding names; one with more names none."""
META = "io.modelcontextprotocol/"
"""Prefix of the reserved ``_meta`` keys (protocol 2026-07-28)."""
CUT = "…"
"""The key under which the length of arguments stands that were too long to keep."""

CALL_METHODS: dict[ItemKind, str] = {
    ItemKind.TOOLS: "tools/call",
    ItemKind.PROMPTS: "prompts/get",
    ItemKind.RESOURCES: "resources/read",
    ItemKind.TEMPLATES: "resources/read",
}
LIST_METHODS: dict[ItemKind, str] = {
    ItemKind.TOOLS: "tools/list",
    ItemKind.PROMPTS: "prompts/list",
    ItemKind.RESOURCES: "resources/list",
    ItemKind.TEMPLATES: "resources/templates/list",
}


@dataclass(frozen=True)
class Hit:
    """One time that a rule's condition held."""

    subject: str
    """``tools/NAME``, ``server``…, without the parameter."""
    fact: str
    """What tells this finding from another of the same rule and subject. Normalised before use."""
    message: str
    pointer: str = ""
    """JSON pointer of the parameter or of the text; becomes ``subject#/pointer``."""
    class_: RiskClass | None = None
    """Milder than the rule's own class; ``None`` for the rule's own."""
    confidence: Confidence = Confidence.HIGH
    evidence: Evidence | None = None
    """``None`` for the rule's usual evidence."""
    session: Session | None = None
    calls: tuple[Call, ...] = ()
    """What shows it again, in order."""
    lists: ItemKind | None = None
    """The list to ask for when no call is needed."""
    kernel: tuple[KernelEvent, ...] = ()
    """What the kernel recorded of it, in ``session``."""
    sink: tuple[SinkEvent, ...] = ()
    """What arrived at the sink, in ``session``."""
    about: tuple[Deed, ...] = ()
    """All that it is about, where ``kernel`` and ``sink`` only show some of it."""
    location: Location | None = None
    """Where it stands; ``None`` for the line that defines the subject."""
    lines: tuple[str, ...] = ()
    """What else shows it: lines of evidence files, as ``NAME.jsonl:LINE``."""
    settled: bool = False
    """The fact holds nothing that differs from run to run: it counts as it is."""


C = TypeVar("C", bound=Context)
Check = Callable[[C], Iterable[Hit]]


@dataclass(frozen=True)
class Rule(Generic[C]):
    """A rule and its check."""

    info: RuleInfo
    check: Check[C]


REGISTERED: dict[str, Rule[Context]] = {}
"""Id -> rule on what was seen."""
COMPARING: dict[str, Rule[Compared]] = {}
"""Id -> rule on what differs from a baseline."""


def rule(info: RuleInfo) -> Callable[[Check[Context]], Check[Context]]:
    """Register a check under its definition.

    Raises ``ValueError`` for an id that is taken or not kebab-case.
    """
    return _registrar(REGISTERED, info)


def drift_rule(info: RuleInfo) -> Callable[[Check[Compared]], Check[Compared]]:
    """The same for a check of what differs from a baseline."""
    return _registrar(COMPARING, info)


def _registrar(table: dict[str, Rule[C]], info: RuleInfo) -> Callable[[Check[C]], Check[C]]:
    if not re.fullmatch(r"[a-z]+(?:-[a-z]+)*", info.id):
        raise ValueError(f"{info.id!r} is no rule id")

    def register(check: Check[C]) -> Check[C]:
        if info.id in REGISTERED or info.id in COMPARING:
            raise ValueError(f"two rules are called {info.id!r}")
        table[info.id] = Rule(info, check)
        return check

    return register


def severity(class_: RiskClass) -> int:
    """0 for the worst class."""
    return RISK_ORDER.index(class_)


def order(finding: Finding) -> tuple[int, str, str, str]:
    """Sort key: worst first, then rule, subject, fingerprint."""
    return severity(finding.class_), finding.rule, finding.subject, finding.fingerprint


def normalised(fact: str, nonces: Iterable[str] = ()) -> str:
    """A fact without what differs from run to run: nonces, hexadecimal runs, numbers, spacing."""
    for nonce in nonces:
        if nonce:
            fact = fact.replace(nonce, "<nonce>")
    fact = re.sub(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b", "<uuid>", fact.lower())
    fact = re.sub(r"\b(?=[a-f]*[0-9])[0-9a-f]{8,}\b", "<hex>", fact)
    fact = re.sub(r"[0-9]+(?:[.:,][0-9]+)*", "<n>", fact)
    return " ".join(fact.split())


def fingerprint(rule_id: str, subject: str, fact: str) -> str:
    """SHA-256 (hex) of rule, subject and normalised fact."""
    return hashlib.sha256(json.dumps([rule_id, subject, fact]).encode()).hexdigest()


def location_of(subject: str, definitions: dict[str, Location]) -> Location | None:
    """The line that defines a subject, else that of the whole server."""
    for key in (subject, subject.partition("#")[0], ""):
        if key in definitions:
            return definitions[key]
    return None


def findings_of(one: Rule[C], context: C, profile: Profile) -> list[Finding]:
    """Run a rule; hits of one subject and fact become one finding."""
    groups: dict[tuple[str, str], list[Hit]] = {}
    for hit in one.check(context):
        subject = f"{hit.subject}#{hit.pointer}" if hit.pointer else hit.subject
        fact = hit.fact
        if not hit.settled:
            fact = normalised(fact, (call.nonce for call in hit.calls))
        groups.setdefault((subject, fact), []).append(hit)
    return [
        _finding(one.info, (subject, fact), hits, context.observations, profile)
        for (subject, fact), hits in groups.items()
    ]


def _finding(
    info: RuleInfo,
    what: tuple[str, str],
    hits: list[Hit],
    observations: Observations,
    profile: Profile,
) -> Finding:
    subject, fact = what
    shown = min(hits, key=lambda hit: _strength(hit, info))
    class_ = shown.class_ or info.class_
    if severity(class_) < severity(info.class_):  # a rule never exceeds its own class
        raise ValueError(f"{info.id} says {info.class_}, its check gave {class_}")
    if profile is Profile.SEED and info.seed_class is not None:
        class_ = info.seed_class
    inputs = {(call.family, call.payload) for hit in hits for call in hit.calls[:1]}
    message = shown.message[: MAX_MESSAGE - 40]
    if len(inputs) > 1:
        message += f" ({len(inputs)} different inputs did this.)"
    return Finding(
        rule=info.id,
        class_=class_,
        confidence=shown.confidence,
        evidence=shown.evidence or info.evidence,
        subject=subject,
        message=message,
        fingerprint=fingerprint(info.id, subject, fact),
        location=shown.location or location_of(subject, observations.definitions),
        reproducer=_reproducer(shown),
        command=shown.session.container.command_line if shown.session else (),
        seen=_seen(shown),
        about=_about(hits),
    )


def _seen(hit: Hit) -> tuple[str, ...]:
    """Lines of the evidence files that show it: kernel and sink first, they prove most."""
    lines = [f"{EVIDENCE}/{line}" for line in hit.lines]
    if hit.session is None or not hit.session.evidence:
        return tuple(lines[:MAX_SEEN])
    name = f"{EVIDENCE}/{hit.session.evidence}"
    lines += [f"{name}.trace:{event.line}" for event in hit.kernel if event.line]
    lines += [f"{name}.sink.jsonl:{event.line}" for event in hit.sink if event.line]
    for call in hit.calls:
        lines += [f"{name}.jsonl:{line}" for line in (call.line, call.answer) if line]
    return tuple(dict.fromkeys(lines))[:MAX_SEEN]


def _about(hits: list[Hit]) -> tuple[Deed, ...]:
    """The objects of all hits; none where one of them rests on anything else."""
    found: set[Deed] = set()
    for hit in hits:
        told = _deeds(hit)
        if not told:
            return ()
        found.update(told)
        if len(found) > MAX_ABOUT:
            return ()
    return tuple(sorted(found, key=lambda one: (one.subject, one.part, one.object)))


def _deeds(hit: Hit) -> tuple[Deed, ...]:
    if hit.about or hit.session is None:
        return hit.about
    each = [deeds.of_kernel(hit.session, event) for event in hit.kernel]
    each += [deeds.of_sink(hit.session, event) for event in hit.sink]
    return tuple(deed for told in each for deed in told) if all(each) else ()


def _strength(hit: Hit, info: RuleInfo) -> tuple[int, str, int, int, bool, int]:
    """Sort key: worst class, best proof, surest, fewest calls, seen in the reply, shortest input.

    Who sends the lines again sees replies; a file in a container's /tmp needs another look.
    """
    return (
        severity(hit.class_ or info.class_),
        hit.evidence or info.evidence,
        list(Confidence).index(hit.confidence),
        len(hit.calls),
        not any(call.proven or call.canaries for call in hit.calls),
        sum(len(json.dumps(call.arguments)) for call in hit.calls),
    )


def _reproducer(hit: Hit) -> tuple[str, ...]:
    """The lines to send; empty where a call's arguments were too long to be kept."""
    if hit.session is None or not (hit.calls or hit.lists):
        return ()
    if any(isinstance(call.arguments, dict) and CUT in call.arguments for call in hit.calls):
        return ()
    requests = [_request(call) for call in hit.calls]
    if not requests and hit.lists:
        requests = [(LIST_METHODS[hit.lists], {})]
    transcript = hit.session.transcript
    identity = {"name": transcript.identity.name, "version": transcript.identity.version}
    if transcript.era is Era.STATELESS:
        meta = {
            META + "protocolVersion": transcript.version or transcript.offered_version,
            META + "clientInfo": identity,
            META + "clientCapabilities": transcript.identity.capabilities,
        }
        return tuple(
            _line(number, method, params | {"_meta": meta})
            for number, (method, params) in enumerate(requests, start=1)
        )
    opening = {
        "protocolVersion": transcript.offered_version or transcript.version,
        "capabilities": transcript.identity.capabilities,
        "clientInfo": identity,
    }
    return (
        _line(1, "initialize", opening),
        json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        *(_line(number, *request) for number, request in enumerate(requests, start=2)),
    )


def _request(call: Call) -> tuple[str, dict[str, Json]]:
    if call.kind in {ItemKind.RESOURCES, ItemKind.TEMPLATES}:
        uri = call.arguments.get("uri", call.target) if isinstance(call.arguments, dict) else ""
        return CALL_METHODS[call.kind], {"uri": uri or call.target}
    return CALL_METHODS[call.kind], {"name": call.target, "arguments": call.arguments}


def _line(number: int, method: str, params: dict[str, Json]) -> str:
    # In the order of a saved report, so that judging that again gives the same bytes.
    line = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    return json.dumps(line, sort_keys=True)
