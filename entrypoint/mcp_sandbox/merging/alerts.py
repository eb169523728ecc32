"""The runs of a ``results.sarif``: checked to be written as ours, and made one server's among many.

What GitHub does with a merged file decides what is changed:

* It tells analyses apart by tool and ``automationDetails.id``: each run gets one with the server's
  name, whatever was in it.
* It takes results of one rule on one line for one alert, whichever analysis they are of: a path
  gets the server's name in front, except where the file is one of the repository that uploads.
* It shows 5,000 results of a run: those beyond are left out, and that is told. A run's results
  stand worst first.

A file that says anything a scan does not write is refused whole: suppressions or another ``kind``
would open alerts, ``executionSuccessful: false`` would have the upload refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal, NotRequired
from urllib.parse import unquote

from pydantic import Field, JsonValue, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from mcp_sandbox.errors import ReportUnreadable
from mcp_sandbox.report import escape

DRIVER = "mcp-sandbox"
"""Name of our own tool in every SARIF file."""
MAX_BYTES = 32 * 2**20
"""Of a ``results.sarif``."""
MAX_RESULTS = 5_000
"""GitHub shows no more of a run."""
MAX_RUNS = 20
MAX_RULES = 25_000
MAX_SHOWN = 300

Level = Literal["error", "warning", "note"]
Words = Annotated[str, Field(min_length=1, max_length=1_024)]
Link = Annotated[str, Field(pattern=r"^https://[!-~]{1,1000}$")]
Tool = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9 ._-]{0,63}$")]
Line = Annotated[int, Field(ge=1, le=2**31)]
Uri = Annotated[str, Field(pattern=r"^[A-Za-z0-9._~%/-]{1,13000}$")]
Severity = Annotated[str, Field(pattern=r"^(?:10\.0|[0-9]\.[0-9])$")]
Bag = dict[str, JsonValue]

_closed = with_config({"extra": "forbid", "strict": True, "allow_inf_nan": False})


@_closed
class _Text(TypedDict):
    text: Words


@_closed
class _Help(TypedDict):
    text: Annotated[str, Field(min_length=1, max_length=20_000)]
    markdown: NotRequired[Annotated[str, Field(max_length=20_000)]]


@_closed
class _Configuration(TypedDict):
    level: Level
    enabled: NotRequired[Literal[True]]


_RuleProperties = _closed(
    TypedDict(  # type: ignore[operator]  # keys that are no names of Python
        "_RuleProperties",
        {
            "precision": Literal["very-high", "high", "medium", "low"],
            "security-severity": NotRequired[Severity],
            "tags": Annotated[list[Words], Field(max_length=10)],
        },
    )
)


@_closed
class _Rule(TypedDict):
    id: Annotated[str, Field(min_length=1, max_length=255)]
    name: Annotated[str, Field(min_length=1, max_length=255)]
    shortDescription: _Text
    fullDescription: _Text
    help: _Help
    helpUri: Link
    defaultConfiguration: _Configuration
    properties: _RuleProperties  # type: ignore[valid-type]  # a type made by a call


@_closed
class _Driver(TypedDict):
    name: Tool
    fullName: NotRequired[Words]
    version: NotRequired[Words]
    semanticVersion: NotRequired[Words]
    informationUri: Link
    rules: Annotated[list[_Rule], Field(max_length=MAX_RULES)]
    language: NotRequired[Literal["en-US"]]
    contents: NotRequired[list[str]]


@_closed
class _Tool(TypedDict):
    driver: _Driver


@_closed
class _Automation(TypedDict):
    id: Words


@_closed
class _Notification(TypedDict):
    message: _Text
    level: Level


@_closed
class _Invocation(TypedDict):
    executionSuccessful: Literal[True]
    toolExecutionNotifications: NotRequired[Annotated[list[_Notification], Field(max_length=100)]]


@_closed
class _Artifact(TypedDict):
    uri: Uri


@_closed
class _Region(TypedDict):
    startLine: Line
    startColumn: NotRequired[Line]
    endLine: NotRequired[Line]
    endColumn: NotRequired[Line]


@_closed
class _Physical(TypedDict):
    artifactLocation: _Artifact
    region: _Region


@_closed
class _Logical(TypedDict):
    fullyQualifiedName: Annotated[str, Field(max_length=8_000)]


@_closed
class _Location(TypedDict):
    physicalLocation: _Physical
    logicalLocations: NotRequired[Annotated[list[_Logical], Field(max_length=100)]]


@_closed
class _Result(TypedDict):
    ruleId: Annotated[str, Field(min_length=1, max_length=255)]
    ruleIndex: Annotated[int, Field(ge=0)]
    level: Level
    kind: NotRequired[Literal["fail"]]
    message: _Text
    locations: Annotated[list[_Location], Field(min_length=1, max_length=1)]
    partialFingerprints: dict[str, Words]
    properties: NotRequired[Bag]


@_closed
class _Run(TypedDict):
    tool: _Tool
    automationDetails: _Automation
    columnKind: Literal["utf16CodeUnits"]
    invocations: Annotated[list[_Invocation], Field(min_length=1, max_length=1)]
    results: Annotated[list[_Result], Field(max_length=25_000)]
    properties: NotRequired[Bag]
    language: NotRequired[Literal["en-US"]]
    newlineSequences: NotRequired[list[str]]


_Log = _closed(
    TypedDict(  # type: ignore[operator]
        "_Log",
        {
            "$schema": Link,
            "version": Literal["2.1.0"],
            "runs": Annotated[list[_Run], Field(max_length=MAX_RUNS)],
        },
    )
)


@cache
def _adapter() -> TypeAdapter[Any]:
    return TypeAdapter(_Log)


@dataclass(frozen=True)
class Run:
    """One run of the merged SARIF."""

    document: dict[str, Any]

    @property
    def results(self) -> int:
        """How many."""
        return len(self.document["results"])

    @property
    def category(self) -> str:
        """Its id among all analyses of a commit."""
        return str(self.document["automationDetails"]["id"])

    def cut(self, results: int) -> Run:
        """The same with its first results only."""
        return Run({**self.document, "results": self.document["results"][:results]})

    def dumped(self) -> bytes:
        """On one line, ASCII only, without its newline."""
        text = json.dumps(
            self.document, sort_keys=True, separators=(",", ":"), allow_nan=False
        ).replace("\x7f", "\\u007f")
        return text.encode("ascii")


def runs(data: bytes, server: str, *, keep_paths: bool) -> tuple[tuple[Run, ...], int]:
    """The runs of a ``results.sarif`` as those of ``server``, and how many results were cut off.

    Raises ``ReportUnreadable``, with one sentence, for a file that a scan does not write.
    """
    try:
        log = _adapter().validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])[:MAX_SHOWN]
        raise _foreign(f"{where or 'its top'}: {first['msg'][:MAX_SHOWN]}") from error
    tools = [run["tool"]["driver"]["name"].lower() for run in log["runs"]]
    if len(set(tools)) != len(tools):
        raise _foreign("two runs are of one tool")
    cut = 0
    made = []
    for run in log["runs"]:
        for problem in _problems(run):
            raise _foreign(problem)
        cut += max(0, len(run["results"]) - MAX_RESULTS)
        made.append(_of(run, server, keep_paths=keep_paths))
    return tuple(made), cut


def _foreign(why: str) -> ReportUnreadable:
    return ReportUnreadable(f"results.sarif is not as `mcp-sandbox scan` writes it ({why}).")


def _problems(run: dict[str, Any]) -> Iterator[str]:
    """What the types cannot say."""
    ids = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    if len(set(ids)) != len(ids):
        yield "a rule is listed twice"
    for result in run["results"]:
        index = result["ruleIndex"]
        if index >= len(ids) or ids[index] != result["ruleId"]:
            yield "a result is of no rule that is listed"
        if not result["message"]["text"].strip():
            yield "a message is blank"
        uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        parts = unquote(uri, errors="replace").split("/")
        if any(part in {"", ".", ".."} for part in parts) or re.search(r"%(?![0-9A-F]{2})", uri):
            yield "a path leaves the checkout"


def _of(run: dict[str, Any], server: str, *, keep_paths: bool) -> Run:
    tool = run["tool"]["driver"]["name"]
    inner = "" if tool == DRIVER else f"{re.sub(r'[^a-z0-9._-]+', '-', tool.lower())}/"
    results = run["results"][:MAX_RESULTS]
    if not keep_paths:
        prefix = escape.uri(server)
        for result in results:
            artifact = result["locations"][0]["physicalLocation"]["artifactLocation"]
            artifact["uri"] = f"{prefix}/{artifact['uri']}"
    return Run(
        {**run, "results": results, "automationDetails": {"id": f"{DRIVER}/{server}/{inner}"}}
    )
