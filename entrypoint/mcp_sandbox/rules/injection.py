"""Input that was carried out: commands, code, templates, SQL. Proof is computed, never echoed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator

from mcp_sandbox.model import CallStatus, Confidence, Evidence, RiskClass, RuleInfo
from mcp_sandbox.rules import capability
from mcp_sandbox.rules.context import FAILED, VALID, Context, Made
from mcp_sandbox.rules.proofs import proven
from mcp_sandbox.rules.registry import Hit, normalised, rule
from mcp_sandbox.rules.replies import said, sent
from mcp_sandbox.rules.surfaces import quote

C, H, M, N = RiskClass.CRITICAL, RiskClass.HIGH, RiskClass.MEDIUM, RiskClass.NOTE

_COMPUTED = (
    "The reply holds the product of two numbers that the input only multiplies, or a file named "
    "after the call's nonce was made in the server's /tmp. Where neither shows: the product in a "
    "name that the sink was asked for, or in the arguments of a program."
)

Declared = Callable[[Context, Made], bool]


def _proven(
    context: Context, family: str, fact: str, what: str, declared: tuple[Declared, ...]
) -> Iterator[Hit]:
    for made in context.family(family):
        call = made.call
        proof = proven(context, made)
        if proof is None:
            continue
        by_design = any(test(context, made) for test in declared)
        tail = ", which is what the tool offers to do" if by_design else ""
        yield Hit(
            subject=made.subject,
            pointer=call.parameter,
            fact=fact,
            message=f"{what}: {proof.how}{tail}.",
            class_=N if by_design else None,
            evidence=Evidence.E2,
            session=made.session,
            calls=(call,),
            kernel=proof.kernel,
            sink=proof.sink,
        )


@rule(
    RuleInfo(
        id="command-injection",
        title="Input is run as a command",
        class_=C,
        evidence=Evidence.E2,
        what="A parameter's value reaches a shell or a program's arguments, and what the caller "
        "wrote in it is carried out.",
        proof=_COMPUTED
        + " Or a program that the input names was started with a piece of the input "
        "as its own argument, or was looked for under the call's nonce.",
        quiet_when="The input is only repeated, quoted inside `sh -c`, or handed over whole as one "
        "argument. A tool that offers to run commands gives a note.",
        fix="No shell: pass the program and its arguments as a list, check the value first, and "
        "put `--` before it.",
        cwe=(77, 78, 88),
    )
)
def command_injection(context: Context) -> Iterator[Hit]:
    """A computed result or a file, caused by the command family."""
    yield from _proven(
        context,
        "command-injection",
        "command",
        "Part of the input was run as a command",
        (capability.runs_commands, capability.runs_code),
    )


@rule(
    RuleInfo(
        id="code-evaluation",
        title="Input is evaluated as code",
        class_=C,
        evidence=Evidence.E2,
        what="A parameter's value is evaluated as a program of the server's language.",
        proof=_COMPUTED,
        quiet_when="The input is only repeated, or a calculator did a sum. A tool that offers to "
        "run code gives a note.",
        fix="Parse the input for the one purpose that it has; never hand it to an evaluator.",
        cwe=(94, 95),
    )
)
def code_evaluation(context: Context) -> Iterator[Hit]:
    """A computed result or a file, caused by the code family."""
    yield from _proven(
        context,
        "code-evaluation",
        "code",
        "The input was evaluated as code",
        (capability.runs_code, capability.runs_commands, capability.calculates),
    )


@rule(
    RuleInfo(
        id="template-injection",
        title="Input is evaluated as a template",
        class_=C,
        evidence=Evidence.E2,
        what="A parameter's value is rendered by a template engine, which can reach the server's "
        "objects.",
        proof=_COMPUTED,
        quiet_when="The input is only repeated. A tool that offers to render templates gives a "
        "note.",
        fix="Pass the value to a constant template as data.",
        cwe=(1336,),
    )
)
def template_injection(context: Context) -> Iterator[Hit]:
    """A computed result or a file, caused by the template family."""
    yield from _proven(
        context,
        "template-injection",
        "template",
        "The input was evaluated as a template",
        (
            capability.renders_templates,
            capability.runs_code,
            capability.calculates,
        ),
    )


@rule(
    RuleInfo(
        id="sql-injection",
        title="Input becomes part of an SQL statement",
        class_=H,
        evidence=Evidence.E2,
        what="A parameter's value is pasted into an SQL statement, so the caller writes SQL.",
        proof="The reply holds a product that only the database can have computed; or a condition "
        "that is always true gives other rows than one that is always false, while unrelated "
        "input gives what the false one gives. A database's error message alone is medium.",
        quiet_when="The tool offers to run SQL (then a note); the replies differ in numbers only; "
        "ordinary calls give the same error.",
        fix="Let the driver carry the value: placeholders, never string building.",
        cwe=(89,),
    )
)
def sql_injection(context: Context) -> Iterator[Hit]:
    """Computed results, differing rows, database errors."""
    yield from _proven(
        context,
        "sql-injection",
        "sql",
        "The input was run as SQL",
        (capability.runs_sql, capability.runs_code, capability.calculates),
    )
    yield from _differing_rows(context)
    yield from _database_errors(context)


_BOOLEAN = re.compile(r"(?P<which>.*)boolean-(?P<answer>true|false)")


def _differing_rows(context: Context) -> Iterator[Hit]:
    pairs: dict[tuple[str, str, int], dict[str, Made]] = {}
    for made in context.family("sql-injection"):
        if match := _BOOLEAN.fullmatch(made.call.payload):
            key = made.subject, f"{made.call.parameter} {match['which']}", id(made.session)
            pairs.setdefault(key, {})[match["answer"]] = made
    for (subject, _, _), pair in pairs.items():
        if len(pair) < len(("true", "false")):
            continue
        yes, no = pair["true"], pair["false"]
        if yes.call.status is not CallStatus.RESULT or no.call.status is not CallStatus.RESULT:
            continue
        if capability.runs_sql(context, yes) or _rows(context, yes) == _rows(context, no):
            continue
        others = [
            _rows(context, made)
            for made in context.by_target[subject]
            if made.call.parameter == yes.call.parameter
            and made.call.family not in {"sql-injection", VALID}
            and made.call.status is CallStatus.RESULT
        ]
        if others and (_rows(context, no) not in others or _rows(context, yes) in others):
            continue
        yield Hit(
            subject=subject,
            pointer=yes.call.parameter,
            fact="sql",
            message="A condition that is always true gives other rows than one that is always "
            f"false: “{quote(context.own(yes), 120)}” and “{quote(context.own(no), 120)}”.",
            confidence=Confidence.HIGH if others else Confidence.MEDIUM,
            session=yes.session,
            calls=(yes.call, no.call),
        )


def _rows(context: Context, made: Made) -> tuple[tuple[str, int], ...]:
    """The reply's words, without ours and without numbers, in any order."""
    words = normalised(context.own(made), (made.call.nonce,)).split()
    return tuple(sorted(Counter(words).items()))


_DATABASE_ERROR = re.compile(
    r"near \"[^\"]{0,80}\": syntax error|unrecognized token: |sqlite3?\.?(?:Operational)?Error"
    r"|SQLITE_ERROR|SQL logic error|You have an error in your SQL syntax|SQLSTATE\[?\w"
    r"|unterminated quoted (?:string|identifier)|syntax error at or near|ORA-0[0-9]{4}"
    r"|Unclosed quotation mark|Incorrect syntax near|psycopg2?\.\w{0,20}\.?SyntaxError"
    r"|each UNION query must have|SELECTs to the left and right of UNION",
    re.IGNORECASE,
)


def _database_errors(context: Context) -> Iterator[Hit]:
    for made in context.family("sql-injection"):
        if made.call.status not in FAILED | {CallStatus.RESULT}:
            continue
        match = _DATABASE_ERROR.search(said(made.call))
        if match is None or any(match[0] in ours for ours in sent(made.call)):
            continue
        if capability.runs_sql(context, made) or any(
            _DATABASE_ERROR.search(said(valid.call)) for valid in context.valid(made.subject)
        ):
            continue
        yield Hit(
            subject=made.subject,
            pointer=made.call.parameter,
            fact="sql",
            message=f"The input broke an SQL statement: “{quote(match[0], 120)}”.",
            class_=M,
            confidence=Confidence.MEDIUM,
            evidence=Evidence.E5,
            session=made.session,
            calls=(made.call,),
        )
