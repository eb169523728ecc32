"""What a tool says it is for: doing that is a capability, not a vulnerability.

A server that publicly offers to run commands runs commands; the finding is then a note, so that a
reader sees it. The words must stand in the listing, in front of model and user. Limits: a hole of
the same kind beside the declared purpose (a bypassed allow-list) is not told apart here.
"""

from __future__ import annotations

import re

from mcp_sandbox.rules.context import Context, Made

_COMMAND = re.compile(
    r"\b(?:execut|run|invok|launch)\w*\b[^.]{0,40}\b(?:commands?|shell|scripts?|terminal|bash)\b"
    r"|\b(?:shell|terminal|bash|command(?: line)?) (?:commands?|to (?:run|execute))\b"
)
_COMMAND_PARAMETER = re.compile(r"\b(?:commands?|cmd|shell|script|args?|arguments?|argv)\b")
_SQL = re.compile(r"\bsql\b|\b(?:select|insert|update|delete|create table) (?:query|statement)\b")
_SQL_PARAMETER = re.compile(r"\b(?:sql|query|statement|q)\b")
_CODE = re.compile(
    r"\b(?:execut|run|evaluat|interpret|eval)\w*\b[^.]{0,40}"
    r"\b(?:code|scripts?|python|javascript|snippets?|programs?|repl)\b"
)
_CODE_PARAMETER = re.compile(r"\b(?:code|script|source|snippet|python|javascript|program)\b")
_SUM = re.compile(r"\b(?:calculat|arithmetic|math|comput|expression|formula|equation|evaluat)")
_TEMPLATE = re.compile(r"\b(?:render|template|jinja|handlebars|mustache|liquid|format string)")
_TEMPLATE_PARAMETER = re.compile(r"\b(?:template|jinja|handlebars|mustache|liquid)\b")
_FETCH = re.compile(
    r"\b(?:fetch|download|retriev|request|crawl|scrape|load|open|read|visit|navigat|convert|brows)"
    r"\w*\b[^.]{0,60}\b(?:urls?|uris?|web ?pages?|web ?sites?|links?|pages?|http|internet)\b"
)
_ENVIRONMENT = re.compile(
    r"\benvironment variables?\b|\benv vars?\b|\b(?:get|print|list|show) env\b"
)
_ANY_FILE = re.compile(
    r"\bany (?:local )?(?:file|path)\b"
    r"|\b(?:arbitrary|whole|entire|full) (?:file ?system|path|disk)\b"
    r"|\banywhere on (?:the|your) (?:disk|machine|system|computer|file ?system)\b"
)
_WAITS = re.compile(
    r"\b(?:duration|seconds?|delay|sleep|wait\w*|timeout|interval|long running|milliseconds?|ms)\b"
)

_TAKES_LONG = re.compile(r"\blong[- ]running\b|\b(?:sleeps?|waits|pauses?|delays?) (?:for|until)\b")


def runs_commands(context: Context, made: Made) -> bool:
    """The tool offers to run commands, and this parameter is the command."""
    return bool(
        _COMMAND.search(context.declared(made))
        and _COMMAND_PARAMETER.search(context.parameter_text(made))
    )


def runs_sql(context: Context, made: Made) -> bool:
    """The tool offers to run SQL, and this parameter is the statement."""
    said = context.parameter_text(made)
    return bool(_SQL.search(said)) or bool(
        _SQL.search(context.declared(made)) and _SQL_PARAMETER.search(said)
    )


def runs_code(context: Context, made: Made) -> bool:
    """The tool offers to run code, and this parameter is the code."""
    return bool(
        _CODE.search(context.declared(made))
        and _CODE_PARAMETER.search(context.parameter_text(made))
    )


def calculates(context: Context, made: Made) -> bool:
    """The tool offers to calculate, and what was sent is nothing but arithmetic."""
    value = value_at(made.call.arguments, made.call.parameter)
    return (
        isinstance(value, str)
        and bool(re.fullmatch(r"[\s0-9+\-*/().%^]*", value))
        and bool(_SUM.search(context.declared(made)))
    )


def renders_templates(context: Context, made: Made) -> bool:
    """The tool offers to render templates, and this parameter is the template."""
    return bool(
        _TEMPLATE.search(context.declared(made))
        and _TEMPLATE_PARAMETER.search(context.parameter_text(made))
    )


def fetches(context: Context, made: Made) -> bool:
    """The tool offers to fetch what an address names."""
    return bool(_FETCH.search(context.declared(made)))


def reads_file_urls(context: Context, made: Made) -> bool:
    """The tool says that it takes ``file:`` addresses."""
    return "file:" in context.declared(made)


def tells_environment(context: Context, made: Made) -> bool:
    """The tool offers to return environment variables."""
    return bool(_ENVIRONMENT.search(context.declared(made)))


def reads_anywhere(context: Context, made: Made) -> bool:
    """The tool offers to read any file of the machine."""
    return bool(_ANY_FILE.search(context.declared(made)))


def waits(context: Context, made: Made) -> bool:
    """The tool is made for taking long, or the parameter says how long it shall take."""
    return bool(
        _WAITS.search(context.parameter_text(made)) or _TAKES_LONG.search(context.declared(made))
    )


def value_at(arguments: object, pointer: str) -> object:
    """The argument that a JSON pointer names; ``None`` when there is none."""
    node: object = arguments
    for raw in pointer.split("/")[1:]:
        part = raw.replace("~1", "/").replace("~0", "~")
        if isinstance(node, dict):
            node = node.get(part)
        elif isinstance(node, list) and part.isdecimal() and int(part) < len(node):
            node = node[int(part)]
        else:
            return None
    return node
