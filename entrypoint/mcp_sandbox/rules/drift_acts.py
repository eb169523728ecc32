"""What a server now does that it did not do: endpoints, programs, files; and how it is started."""

from __future__ import annotations

from collections.abc import Iterator

from mcp_sandbox.model import Evidence, RiskClass, RuleInfo
from mcp_sandbox.model.locked import ARGUMENT, Change, Direction, Effect, Part
from mcp_sandbox.rules.context import Compared
from mcp_sandbox.rules.drifted import VERBS, code, hit, named, verb, when
from mcp_sandbox.rules.registry import Hit, drift_rule
from mcp_sandbox.rules.surfaces import quote

H, M, N = RiskClass.HIGH, RiskClass.MEDIUM, RiskClass.NOTE


def _gained(context: Compared, *parts: Part) -> Iterator[Change]:
    for change in context.drift.changes:
        if change.part in parts and change.direction is Direction.GAINED:
            yield change


def _now(change: Change, shown: str = "") -> str:
    """The reviewer's question."""
    value = change.after
    done = verb(change.part, value)
    if value == ARGUMENT:
        thing = "what its argument names"
    elif ARGUMENT in value:
        thing = f"what its argument names ({code(value)})"
    else:
        thing = code(value, 200) if change.part is not Part.ENDPOINT else quote(value, 200)
    return f"{named(change.subject)} now {done} {thing}{when(change.subject)}{shown}: intended?"


@drift_rule(
    RuleInfo(
        id="new-network-endpoint",
        title="An endpoint is new",
        class_=H,
        evidence=Evidence.E3,
        what="A tool, or the server unasked, connects to or looks up a host and port that the "
        "baseline does not know there.",
        proof="The request that was caught at the sink, or the attempt in the kernel's record, "
        "with its line.",
        quiet_when="What was done unasked before shows in a tool's window, or moved between "
        "start-up and idle; the name of an endpoint that was connected to is only looked up.",
        fix="Accept the endpoint with a reason in the policy and bring the lock file up to date, "
        "or take it out.",
        cwe=(829,),
    )
)
def new_network_endpoint(context: Compared) -> Iterator[Hit]:
    """Endpoints that are gained."""
    for change in _gained(context, Part.ENDPOINT):
        seen = context.drift.taken.seen.get((change.subject, change.part.value, change.after))
        caught = next((event.text for event in seen.sink if event.text), "") if seen else ""
        shown = f" ({quote(caught.partition(chr(13))[0].partition(chr(10))[0], 160)})"
        yield hit(context, change, _now(change, shown if caught.strip() else ""))


@drift_rule(
    RuleInfo(
        id="new-executable",
        title="A program is new",
        class_=H,
        evidence=Evidence.E3,
        what="A tool, or the server unasked, starts a program that the baseline does not know "
        "there.",
        proof="The exec in the kernel's record, with its line.",
        quiet_when="What was started unasked before shows in a tool's window, or moved between "
        "start-up and idle.",
        fix="Accept the program with a reason in the policy and bring the lock file up to date, or "
        "take it out.",
        cwe=(829,),
    )
)
def new_executable(context: Compared) -> Iterator[Hit]:
    """Programs that are gained."""
    for change in _gained(context, Part.PROGRAM):
        seen = context.drift.taken.seen.get((change.subject, change.part.value, change.after))
        argv = next((event.detail for event in seen.kernel if event.detail), "") if seen else ""
        yield hit(context, change, _now(change, f" ({quote(argv, 160)})" if argv else ""))


@drift_rule(
    RuleInfo(
        id="new-file-access",
        title="A file is read or written that was not",
        class_=H,
        evidence=Evidence.E3,
        what="A tool, or the server unasked, writes a file that the baseline does not know there. "
        "Medium for one that is only read.",
        proof="The kernel's record, with its line; what the read-only root refused counts.",
        quiet_when="Temporary folders, the image's own programs and libraries, and what moved "
        "between start-up and idle.",
        fix="Accept the path with a reason in the policy and bring the lock file up to date, or "
        "leave the file alone.",
        cwe=(552,),
    )
)
def new_file_access(context: Compared) -> Iterator[Hit]:
    """Writes and reads that are gained."""
    for change in _gained(context, Part.WRITE, Part.READ):
        yield hit(context, change, _now(change), class_=M if change.part is Part.READ else None)


@drift_rule(
    RuleInfo(
        id="behaviour-lost",
        title="Something is no longer done",
        class_=N,
        evidence=Evidence.E3,
        what="An endpoint, a program or a file of the baseline was not touched in this run.",
        proof="The entry, beside what was seen.",
        quiet_when="The run could not have seen it: no network, or a tool that no call could be "
        "made to.",
        fix="Bring the lock file up to date.",
    )
)
def behaviour_lost(context: Compared) -> Iterator[Hit]:
    """Behaviour that is lost."""
    for change in context.drift.changes:
        if change.part in VERBS and change.direction is Direction.LOST:
            done = f"{verb(change.part, change.before)} {code(change.before, 200)}"
            message = f"{named(change.subject)} no longer {done}{when(change.subject)}."
            yield hit(context, change, message)


# --- how it is started ----------------------------------------------------------------------------

_DECISIVE = frozenset({"/user", "/entrypoint"})
_LOADERS = frozenset(
    {
        *("LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "PATH", "BASH_ENV", "ENV", "SHELLOPTS"),
        *("PYTHONSTARTUP", "PYTHONPATH", "PYTHONHOME", "NODE_OPTIONS", "NODE_PATH"),
        *("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "RUBYOPT", "RUBYLIB"),
        *("PERL5OPT", "PERL5LIB", "PERL5DB", "GIT_SSH_COMMAND", "GCONV_PATH"),
    }
)
"""Variables that name code to be run in a program that they were set for."""


@drift_rule(
    RuleInfo(
        id="launch-changed",
        title="The image wants to be started in another way",
        class_=M,
        evidence=Evidence.E3,
        what="Another user, entry point (or command where there is none), or a variable that has "
        "programs load code (`LD_PRELOAD`, `NODE_OPTIONS`…); a note for command, folder, other "
        "variables, ports and volumes.",
        proof="Both values, in the message.",
        quiet_when="The image configuration says the same.",
        fix="See whether the Dockerfile's change was meant to do that.",
        cwe=(250,),
    )
)
def launch_changed(context: Compared) -> Iterator[Hit]:
    """Facts of the image configuration."""
    for change in context.drift.changes:
        if change.part is Part.LAUNCH:
            name = change.pointer.rpartition("/")[2].replace("_", " ")
            yield hit(
                context,
                change,
                f"The image's {name} {_became(change)}: intended?",
                class_=None if _decisive(change, context) else N,
            )


def _decisive(change: Change, context: Compared) -> bool:
    """Another program will run, or as somebody else."""
    if change.pointer == "/command":
        return not context.drift.taken.lock.launch.entrypoint
    variable = change.after.partition("=")[0]
    return change.pointer in _DECISIVE or (
        change.pointer == "/environment" and variable in _LOADERS
    )


def _became(change: Change) -> str:
    before, after = code(change.before, 200), code(change.after, 200)
    if change.direction is Direction.GAINED:
        return f"now has {after}"
    if change.direction is Direction.LOST:
        return f"no longer has {before}"
    return f"was {before} and is {after}"


@drift_rule(
    RuleInfo(
        id="ceiling-raised",
        title="The server needs wider limits",
        class_=M,
        evidence=Evidence.E3,
        what="It ran with more memory, processor time or processes, or with a protection relaxed, "
        "that it did not need for the baseline. A note for tighter limits.",
        proof="Both limits, in the message.",
        quiet_when="The limits are the same.",
        fix="Find what needs them, or accept it.",
        cwe=(400,),
    )
)
def ceiling_raised(context: Compared) -> Iterator[Hit]:
    """Limits that are wider."""
    for change in context.drift.changes:
        if change.part is Part.CEILING:
            name = change.pointer[1:]
            message = (
                f"The server's limit of {name} was {change.before} and is {change.after}"
                if name != "relaxation"
                else f"The server ran with relaxation “{change.before}” and needs “{change.after}”"
            )
            wider = change.effect is Effect.WIDER
            yield hit(
                context,
                change,
                message + (": why?" if wider else "."),
                class_=None if wider else N,
            )
