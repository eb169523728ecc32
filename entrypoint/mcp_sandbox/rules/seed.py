"""The article's own list of what to look for, line by line.

Under ``--profile seed`` each line has the article's class. By default each is a note: words alone
prove nothing, and what can be proved has a rule of its own. The probe's own text never counts: a
word must stand in a reply, or in standard error, that we did not send. The kernel's record, where
it was taken, shows what the engine's lists cannot: short-lived children, and changes that a
read-only root refuses.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mcp_sandbox.model import (
    Act,
    Call,
    Confidence,
    Evidence,
    KernelEvent,
    RiskClass,
    RuleInfo,
    Session,
    SinkEvent,
    SinkKind,
)
from mcp_sandbox.rules import hosts, witnessed
from mcp_sandbox.rules.context import Arrived, Context, Did
from mcp_sandbox.rules.registry import Hit, rule
from mcp_sandbox.rules.replies import remainder, sent
from mcp_sandbox.rules.seed_acts import new_processes
from mcp_sandbox.rules.surfaces import quote
from mcp_sandbox.rules.witnessed import OK

C, H, M, N = RiskClass.CRITICAL, RiskClass.HIGH, RiskClass.MEDIUM, RiskClass.NOTE
_QUIET = "Words that we sent, in whatever form they come back."


@dataclass(frozen=True)
class Word:
    """A match in the server's own output."""

    where: str
    text: str
    session: Session
    call: Call | None
    kernel: tuple[KernelEvent, ...] = ()
    sink: tuple[SinkEvent, ...] = ()


@dataclass(frozen=True)
class Output:
    """Something that the server printed, without our words."""

    where: str
    text: str
    lower: str
    ours: frozenset[str]
    """Words that we sent, in that call or in that session."""
    session: Session
    call: Call | None


def _outputs(context: Context) -> Iterator[Output]:
    for made in context.made:
        text = context.own(made)
        ours = frozenset(word for sentence in sent(made.call) for word in _words(sentence))
        yield Output(
            f"a reply of {made.subject}", text, text.lower(), ours, made.session, made.call
        )
    for session in context.sessions:
        strings = sorted(
            {text for call in session.transcript.calls for text in sent(call)},
            key=lambda text: (-len(text), text),
        )
        ours = frozenset(word for sentence in strings for word in _words(sentence))
        stderr = session.container.stderr
        text = remainder(stderr, [one for one in strings if one in stderr])
        yield Output("standard error", text, text.lower(), ours, session, None)


def _words(text: str) -> Iterator[str]:
    for word in re.findall(r"[\w.]+", text.lower()):
        yield word
        yield from word.split(".")


def _found(context: Context, triggers: tuple[str, ...], pattern: re.Pattern[str]) -> list[Word]:
    """Matches none of whose words we sent ourselves in that call or session.

    ``triggers``: one of them stands in every match, lower case.
    """
    found: list[Word] = []
    for output in context.kept("seed outputs", lambda: tuple(_outputs(context))):
        if not any(trigger in output.lower for trigger in triggers):
            continue
        for match in pattern.finditer(output.text):
            core = next((group for group in match.groups() if group), match[0]).lower()
            if not any(word in output.ours for word in _words(core)):
                found.append(Word(output.where, match[0], output.session, output.call))
                break
    return found


def _hits(words: list[Word], message: str, evidence: Evidence | None = None) -> Iterator[Hit]:
    """One hit for a line of the list; the first words are shown."""
    if not words:
        return
    shown = "; ".join(
        dict.fromkeys(f"“{quote(word.text, 60)}” in {quote(word.where, 80)}" for word in words)
    )
    first = words[0]
    yield Hit(
        subject="server",
        fact="words",
        message=f"{message}: {quote(shown, 600)}.",
        confidence=Confidence.LOW,
        evidence=evidence,
        session=first.session,
        calls=(first.call,) if first.call else (),
        kernel=first.kernel,
        sink=first.sink,
    )


def _program(line: str) -> str:
    return line.partition(" ")[0].rpartition("/")[2]


def _proof(words: list[Word]) -> Evidence | None:
    """E3 when the kernel did one of them, E4 when it refused all, ``None`` without its record."""
    results = {event.result for word in words for event in word.kernel}
    return (Evidence.E3 if OK in results else Evidence.E4) if results else None


def _by_kernel(did: Did) -> Word:
    event = did.event
    text = event.detail or event.object if event.act is Act.EXEC else event.object
    call = did.made.call if did.made else None
    return Word("the kernel's record", text, did.session, call, kernel=(event,))


@rule(
    RuleInfo(
        id="seed-credential-words",
        title="Output mentions credential files",
        class_=N,
        seed_class=C,
        evidence=Evidence.E5,
        what="The article's list: output mentions ~/.ssh, id_rsa, .aws/credentials, .env, passwd "
        "or shadow.",
        proof="The word, in a reply or in standard error. Content is proved by canary-in-output "
        "and arbitrary-read instead.",
        quiet_when=_QUIET,
        fix="Do not name credential files in replies and logs.",
        cwe=(200,),
    )
)
def credential_words(context: Context) -> Iterator[Hit]:
    """CRITICAL, first line."""
    yield from _hits(
        _found(context, ("ssh", "rsa", "aws", ".env", "passwd", "shadow"), _CREDENTIALS),
        "The output mentions credential files",
    )


_CREDENTIALS = re.compile(
    r"~/\.(ssh)\b|\b(id_rsa)\b|\.(aws)/credentials|(?<![\w.])\.(env)\b|\b(passwd)\b"
    r"|(?:/etc/|\bfile )(shadow)\b"
)


@rule(
    RuleInfo(
        id="seed-command-execution",
        title="The server tried to run a shell or a network tool",
        class_=N,
        seed_class=C,
        evidence=Evidence.E5,
        what="The article's list: the server tries to execute curl, wget, nc, bash or sh.",
        proof="The kernel's record of the attempt; such a process in the engine's list, or a "
        "message that such a program was not found or failed.",
        quiet_when=f"{_QUIET} The server's own start-up command.",
        fix="Do the work in the server's own language.",
        cwe=(78,),
    )
)
def command_execution(context: Context) -> Iterator[Hit]:
    """CRITICAL, second line."""
    tried = [
        _by_kernel(did)
        for session in context.sessions
        for did in witnessed.of_session(context, session)
        if did.event.act is Act.EXEC
        and did.event is not witnessed.first_program(session)
        and witnessed.program(did.event) in _TOOLS
    ]
    running = [
        Word("the process list", line, session, None)
        for session in context.sessions
        for line in new_processes(session)
        if _program(line) in _TOOLS
    ]
    yield from _hits(
        [*tried, *running, *_found(context, ("curl", "wget", "nc", "sh"), _EXECUTION)],
        "The server tried to run one of curl, wget, nc, bash, sh",
        _proof(tried) or (Evidence.E3 if running else None),
    )


_TOOLS = frozenset({"curl", "wget", "nc", "bash", "sh", "dash"})
"""Those of the list; where ``sh`` is a link, the kernel may name what it leads to."""
_EXECUTION = re.compile(
    r"\b(curl|wget|nc|bash)\b['\"]?: (?:command )?not found|\b(curl): \([0-9]+\)"
    r"|(?:/bin/|/usr/bin/)(curl|wget|nc|bash|sh)\b(?:: [0-9]+)?: "
    r"|spawn (curl|wget|nc|bash|sh|/bin/(?:ba)?sh) E[A-Z]+"
    r"|No such file or directory: '(?:[\w/]*/)?(curl|wget|nc|bash|sh)'"
)


@rule(
    RuleInfo(
        id="seed-code-words",
        title="Output mentions code that starts processes",
        class_=N,
        seed_class=H,
        evidence=Evidence.E5,
        what="The article's list: output mentions exec(, spawn, child_process or subprocess.",
        proof="The word, in a reply or in standard error. What is carried out is proved by "
        "command-injection and code-evaluation instead.",
        quiet_when=_QUIET,
        fix="Do not show the server's insides in replies and logs.",
        cwe=(209,),
    )
)
def code_words(context: Context) -> Iterator[Hit]:
    """HIGH, second line."""
    yield from _hits(
        _found(context, ("exec(", "spawn", "process"), _CODE),
        "The output mentions code that starts processes",
    )


_CODE = re.compile(r"\b(exec)\(|\b(spawn)(?:Sync|ed|ing)?\b|\b(child_process)\b|\b(subprocess)\b")


@rule(
    RuleInfo(
        id="seed-external-url",
        title="Output mentions external addresses",
        class_=N,
        seed_class=M,
        evidence=Evidence.E5,
        what="The article's list: output mentions external URLs.",
        proof="The address, in a reply or in standard error.",
        quiet_when=f"{_QUIET} Loopback, example domains and schema namespaces.",
        fix="Nothing, if the address is part of the answer.",
    )
)
def external_url(context: Context) -> Iterator[Hit]:
    """MEDIUM, first line."""
    yield from _hits(_found(context, ("://",), _URL), "The output mentions external addresses")


_URL = re.compile(
    r"https?://(?!localhost|127\.|\[::1\]|0\.0\.0\.0|(?:[\w-]+\.)*example\.(?:com|org|net)"
    r"|(?:www\.)?(?:w3|json-schema)\.org)([\w-]+(?:\.[\w-]+)+)[^\s\"'<>)]{0,100}"
)


@rule(
    RuleInfo(
        id="seed-refused-connection",
        title="Connections were refused",
        class_=N,
        seed_class=M,
        evidence=Evidence.E5,
        what="The article's list: ECONNREFUSED in the logs, which tells that the server tried to "
        "connect. Without a network the kernel says ENETUNREACH, and a name cannot be looked up, "
        "so those count as well, and so does what arrived at the sink, which answers nobody.",
        proof="The error, in a reply or in standard error; the kernel's refusal; the connection at "
        "the sink.",
        quiet_when=f"{_QUIET} Addresses that the call named; loopback.",
        fix="Nothing, if connecting is the tool's job.",
    )
)
def refused_connection(context: Context) -> Iterator[Hit]:
    """MEDIUM, second line."""
    asked = _AskedFor()
    refused = [_by_kernel(did) for did in context.did if _is_refused(did, asked)]
    arrivals = [_at_sink(one) for one in context.arrived if _is_connection(one, asked)]
    yield from _hits(
        [*arrivals, *refused, *_found(context, _NETWORK_ERRORS, _REFUSED)],
        "The server tried to connect",
        Evidence.E3 if arrivals else Evidence.E4 if refused else None,
    )


_CONNECTIONS = frozenset({SinkKind.HTTP, SinkKind.TLS, SinkKind.TCP, SinkKind.UDP, SinkKind.QUIC})


def _is_connection(arrival: Arrived, asked: _AskedFor) -> bool:
    """A connection to an address that the call did not name."""
    call = arrival.made.call if arrival.made else None
    return arrival.event.kind in _CONNECTIONS and not asked.named(call, arrival.event.host)


def _at_sink(arrival: Arrived) -> Word:
    event = arrival.event
    call = arrival.made.call if arrival.made else None
    text = f"{event.host}:{event.port}"
    return Word("the sink's record", text, arrival.session, call, sink=(event,))


def _is_refused(did: Did, asked: _AskedFor) -> bool:
    """The kernel refused a connection to another machine, whose address the call did not name."""
    event = did.event
    if event.act is not Act.CONNECT or event.result not in {"ECONNREFUSED", "ENETUNREACH"}:
        return False
    host, port = hosts.split_port(event.object)
    call = did.made.call if did.made else None
    return (
        port > 0 and hosts.scope(host) is not hosts.Scope.LOOPBACK and not asked.named(call, host)
    )


class _AskedFor:
    """The domains that the arguments of each call name: read once, however much a call does."""

    def __init__(self) -> None:
        self._known: dict[int, frozenset[str]] = {}

    def named(self, call: Call | None, host: str) -> bool:
        """Whether the call's own arguments name this host's domain."""
        if call is None:
            return False
        if id(call) not in self._known:
            self._known[id(call)] = hosts.asked_for([call])
        return hosts.domain(host) in self._known[id(call)]


_NETWORK_ERRORS = (
    "econnrefused",
    "enetunreach",
    "eai_again",
    "enotfound",
    "connection refused",
    "network is unreachable",
    "name or service not known",
    "temporary failure in name resolution",
)
_REFUSED = re.compile(
    r"\b(?:"
    + "|".join(one if " " in one else f"(?-i:{one.upper()})" for one in _NETWORK_ERRORS)
    + r")\b",
    re.IGNORECASE,
)
