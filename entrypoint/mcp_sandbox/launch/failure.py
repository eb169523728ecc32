"""Why a server did not start: one reason of a closed list, a sentence, and the way out.

A pure function of what one start left behind. Text of the server decides between reasons only; it
is bounded, and what is quoted of it is short. The order of the questions is that of certainty: what
the engine and the kernel say comes before what the server says, and what the server says before
what can only be told from its silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mcp_sandbox.launch import help as usage
from mcp_sandbox.launch import needs, symptoms
from mcp_sandbox.launch.ending import QUOTED, ended, without_network
from mcp_sandbox.launch.seen import MAX_NAMED, Failure, Seen
from mcp_sandbox.model import SessionEnd, Transport
from mcp_sandbox.model.launch import Needed, StartReason, Where

KILLED = 137
"""Exit code of a process that got SIGKILL."""

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "riscv64": "riscv64"}
"""The engine's name for its machine -> the images' name."""


_ENDED = frozenset({SessionEnd.EXITED, SessionEnd.STUCK_WRITE, SessionEnd.BUDGET})


def judge(seen: Seen) -> Failure:
    """The reason why a start was not answered."""
    text = "\n".join(needs.readable(seen.stderr))
    refusal = seen.detail if seen.end is SessionEnd.REFUSED else ""
    needed = needs.in_text(f"{seen.stderr}\n{seen.stdout}\n{refusal}")
    for question in (_engine, _credentials, _memory, _setting, ended, _spoke):
        found = question(seen, text, needed)
        if found is not None:
            return found
    return _silent(seen, text)


def _engine(seen: Seen, text: str, _: Sequence[Needed]) -> Failure | None:
    """What the machine says of the image."""
    machine = ARCHITECTURES.get(seen.machine, seen.machine)
    other = seen.image_architecture not in {"", seen.machine, machine} and bool(seen.machine)
    words = f"{seen.detail}\n{text}"
    if symptoms.EXEC_FORMAT.search(words) or (other and (seen.end is None or not text.strip())):
        of = f" (the image is for {seen.image_architecture}, the engine is {seen.machine})"
        return Failure(
            StartReason.ARCHITECTURE,
            "The image is made for another processor" + (of if other else ""),
            f"Build it for {machine or 'the engine'} with `docker buildx build --platform`, or "
            "scan it where its processor is.",
        )
    if seen.end is None or (seen.exit_code in {126, 127} and symptoms.NO_PROGRAM.search(text)):
        return Failure(
            StartReason.NOT_RUNNABLE,
            "The engine could not start the server"
            if seen.end is None
            else "The image names a program that is not there or cannot be executed",
            "Check the image's ENTRYPOINT and CMD, or name its command after `--`.",
        )
    return None


def _credentials(seen: Seen, _text: str, _needed: Sequence[Needed]) -> Failure | None:
    if not seen.needs_credentials:
        return None
    return Failure(
        StartReason.NEEDS_CREDENTIALS,
        f"The server answers only whom it knows ({seen.found[:QUOTED]})",
        "Give it a token with --http-header Authorization='Bearer …', or have it started without "
        "authentication, with --env or arguments after `--`.",
    )


def _memory(seen: Seen, text: str, _: Sequence[Needed]) -> Failure | None:
    killed = seen.end is SessionEnd.EXITED and seen.exit_code == KILLED
    if not (seen.oom_killed or killed or symptoms.MEMORY.search(text)):
        return None
    under = f" under its limit of {seen.memory // 2**20} MiB" if seen.memory else ""
    return Failure(
        StartReason.NEEDS_MEMORY,
        f"The server ran out of memory before it answered{under}",
        "Raise --memory, or have it load less at its start.",
    )


def _setting(seen: Seen, text: str, needed: Sequence[Needed]) -> Failure | None:
    if not needed and not (seen.end in _ENDED and seen.exit_code and usage.looks_like_usage(text)):
        return None
    if not needed:
        # A usage tells that something is wrong with the call, also when it does not say what.
        needed = [one for one in usage.required(text, needs.SOURCE) if one.required]
        if not needed:
            return None
    return _wants(tuple(needed))


def _names(needed: Sequence[Needed]) -> str:
    return ", ".join(one.name for one in needed[:MAX_NAMED])


def _wants(needed: tuple[Needed, ...]) -> Failure:
    example = "--env NAME=VALUE"
    if all(one.where is not Where.ENVIRONMENT for one in needed):
        example = "arguments after `--`"
    return Failure(
        StartReason.MISSING_SETTING,
        f"The server did not accept its settings; it names {_names(needed)}",
        f"Give it what it names with {example}, or write it into mcp-sandbox.toml; what was "
        "invented for it did not do.",
        needed,
    )


def _spoke(seen: Seen, text: str, _: Sequence[Needed]) -> Failure | None:
    """What came over the transport that was no MCP, or came over another one."""
    told = next((name for start, name in symptoms.PROTOCOLS if start.match(seen.stdout)), "")
    if seen.end is SessionEnd.EXITED and told == symptoms.ITS_OWN:
        told = ""  # a line of a log, rather
    if seen.end is SessionEnd.REFUSED and not seen.stdout:
        return Failure(
            StartReason.ANOTHER_PROTOCOL,
            f"The server did not answer as an MCP server does ({seen.detail[:QUOTED]})",
            "It has to answer `initialize` or `server/discover` with a protocol version; "
            "--transport names another way to it.",
        )
    if told:
        return Failure(
            StartReason.ANOTHER_PROTOCOL,
            f"The server speaks {told}, not MCP",
            "Start it as an MCP server: perhaps another command or argument after `--`.",
        )
    if seen.ports and seen.end is not SessionEnd.EXITED:
        return _listens(seen)
    if symptoms.ASKS_STDIO.search(text) and not seen.told_stdio and seen.end is not None:
        return Failure(
            StartReason.WRONG_TRANSPORT,
            "The server does not speak over its standard streams as it was started",
            "Its own words name an argument for that: give it after `--`, `-- --stdio` say.",
        )
    if seen.stdout.strip() and seen.end is not SessionEnd.EXITED:
        return Failure(
            StartReason.PRINTED_TO_STDOUT,
            "The server printed text where only messages may stand, and answered nothing: "
            f"{seen.stdout[:60]!r}",
            "Have it print to standard error; where it waits for a person, start it as a server "
            "with arguments after `--`.",
        )
    return None


def _listens(seen: Seen) -> Failure:
    ports = ", ".join(map(str, sorted(seen.ports)[:5]))
    if seen.wanted is Transport.STDIO:
        return Failure(
            StartReason.WRONG_TRANSPORT,
            f"The server waits on port {ports}, and --transport stdio was asked for",
            "Leave --transport out, or start it for standard input and output with what it takes "
            "for that after `--` (`--stdio`, `--transport stdio`).",
        )
    of = seen.found[:QUOTED] or "nothing that was asked"
    return Failure(
        StartReason.WRONG_TRANSPORT,
        f"The server waits on port {ports}, where nothing speaks MCP ({of})",
        "Name its transport with --transport, have it serve one of the usual paths, or start it "
        "for standard input and output with what it takes for that after `--`.",
    )


def _silent(seen: Seen, text: str) -> Failure:
    """What remains."""
    if seen.wanted in {Transport.HTTP, Transport.SSE} and seen.end is not SessionEnd.EXITED:
        return Failure(
            StartReason.WRONG_TRANSPORT,
            f"The server listened on no port within {seen.start_timeout:g} seconds, and "
            f"--transport {seen.wanted.value} was asked for",
            "Leave --transport out, or have it listen, with --env or arguments after `--`.",
        )
    if seen.end is SessionEnd.EXITED and seen.exit_code == 0:
        return Failure(
            StartReason.EXITED_CLEANLY,
            "The server ended by itself, with code 0, before it answered",
            "Check that the image starts the server and not a command that does its work and ends; "
            "name its command or arguments after `--`.",
        )
    if seen.end is SessionEnd.EXITED:
        return Failure(
            StartReason.EXITED,
            f"The server exited with code {seen.exit_code} before it answered",
            "Give it what it lacks with --env or arguments after `--`; its last words tell.",
        )
    if symptoms.LISTENS.search(text):
        return Failure(
            StartReason.WRONG_TRANSPORT,
            "The server says that it listens on a port, and nothing was found there",
            "Have it listen on 127.0.0.1 or 0.0.0.0 inside its container, or speak over standard "
            "input and output.",
        )
    if symptoms.NETWORK.search(text):
        return without_network(seen, "waited for the network and said nothing")
    return Failure(
        StartReason.NEVER_ANSWERED,
        f"The server said nothing within {seen.start_timeout:g} seconds",
        "Give it longer with --start-timeout, or what it lacks with --env; "
        "it has to speak MCP over standard input and output or over HTTP.",
    )


def unlisted(seen: Seen, state: str) -> Failure | None:
    """Why a server that did answer lists no tools; ``None`` where nothing tells.

    ``seen``: what it left behind in the end. ``state``: that of its list.
    """
    text = "\n".join(needs.readable(f"{seen.stderr}\n{state}"))
    it_ended = seen.end is SessionEnd.EXITED
    did = (
        "ended while it was asked for its tools"
        if it_ended
        else f"lists no tools ({state[:QUOTED]})"
    )
    if needed := needs.in_text(text):
        return replace(_wants(needed), what=f"The server {did}; it names {_names(needed)}")
    silent = it_ended and seen.exit_code and not seen.stderr.strip()
    if symptoms.NETWORK.search(text) or (silent and (seen.hosts or seen.services)):
        return without_network(seen, did)
    if not it_ended:
        return None
    return Failure(
        StartReason.EXITED,
        f"The server {did}, with code {seen.exit_code}",
        "Give it what it lacks with --env or arguments after `--`; its last words tell.",
    )


_RELAXED = frozenset(
    {
        StartReason.NOT_RUNNABLE,
        StartReason.NEEDS_MEMORY,
        StartReason.NEEDS_WRITABLE_FOLDER,
        StartReason.CRASHED_AT_IMPORT,
        StartReason.EXITED,
        StartReason.EXITED_CLEANLY,
    }
)


def may_lack_a_resource(failure: Failure, seen: Seen) -> bool:
    """Whether a limit less may help: only a server that ends by itself lacks a resource.

    Another processor or another protocol is no matter of limits, nor is a missing setting, unless
    the server speaks of a folder as well.
    """
    if failure.reason is StartReason.NEEDS_MEMORY and seen.oom_killed:
        return True  # also where only a child of it was ended
    if seen.end not in {SessionEnd.EXITED, None}:
        return False
    if failure.reason is StartReason.MISSING_SETTING:
        return any(symptoms.FOLDER.search(line) for line in needs.readable(seen.stderr))
    return failure.reason in _RELAXED


UNCERTAIN = frozenset(
    {
        StartReason.EXITED,
        StartReason.EXITED_CLEANLY,
        StartReason.NEVER_ANSWERED,
        StartReason.PRINTED_TO_STDOUT,
        StartReason.MISSING_SETTING,
        StartReason.WRONG_TRANSPORT,
    }
)
"""Reasons that the server's own ``--help`` may have something to say of."""
