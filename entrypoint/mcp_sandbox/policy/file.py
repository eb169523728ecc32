"""``mcp-sandbox.toml``: read strictly, every mistake named with its line and the likely word."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from datetime import date

from mcp_sandbox import settings
from mcp_sandbox.errors import BadInput, PolicyUnreadable
from mcp_sandbox.model import ItemKind, Json, RuleInfo
from mcp_sandbox.model.launch import Sidecar
from mcp_sandbox.model.locked import IDLE, POLICY_FILE, START, Policy
from mcp_sandbox.policy import entries, lines
from mcp_sandbox.policy.lines import Path
from mcp_sandbox.policy.objects import EVERYWHERE
from mcp_sandbox.policy.reading import Reader, kind
from mcp_sandbox.policy.sidecars import sidecars

MAX_BYTES = 256 * 2**10
MAX_ENTRIES = 1_000
"""Acceptances, permissions and classes together."""

GATE = ("fail_on", "fail_below")
LAUNCH = (
    "dockerfile",
    "build_network",
    "build_timeout",
    "transport",
    "network",
    "allow",
    "tls",
    "env",
    "args",
    "memory",
    "cpus",
    "pids",
    "start_timeout",
    "call_timeout",
    "timeout",
    "max_calls",
)
"""Settings that say how the server is built, started and tried."""

PLACES = {START: START, IDLE: IDLE, "all": EVERYWHERE}
"""Tables of permissions that belong to no tool -> their subject."""
TABLES = ("gate", "launch", "classes", "accept", "tools", *PLACES)

_AT = re.compile(r" \(at (?:line ([0-9]+), column [0-9]+|end of document)\)$")


def load(
    data: bytes,
    name: str = POLICY_FILE,
    *,
    rules: Iterable[RuleInfo],
    today: date,
    path: str = "",
) -> Policy:
    """The policy that a file holds. ``name`` is for messages, ``path`` is in the repository.

    ``rules``: all of our own there are. ``today``: the day of the run, UTC. Settings are checked
    one by one and kept as they were written. Raises ``PolicyUnreadable`` with one sentence that
    names the file, the line and what is wrong.
    """
    if len(data) > MAX_BYTES:
        raise PolicyUnreadable(f"{name} is larger than {MAX_BYTES // 2**10} KiB.")
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise PolicyUnreadable(f"{name} line {line} is not UTF-8.") from error
    try:
        found = list(lines.statements(text))  # its bounds hold before anything slow looks at it
        document = tomllib.loads(text)
    except lines.TooDeep as error:
        raise PolicyUnreadable(f"{name} line {error.line} {error}.") from error
    except ValueError as error:
        raise PolicyUnreadable(_no_toml(name, text, error)) from error
    reader = Reader(name, lines.lines(found), {one.id: one for one in rules}, today)
    return _policy(reader, document, path)


def _no_toml(name: str, text: str, error: ValueError) -> str:
    if not isinstance(error, tomllib.TOMLDecodeError):  # of a conversion: Python's own bound
        return f"{name} holds a number that is too long."
    said = str(error)
    at = _AT.search(said)
    line = at[1] if at and at[1] else len(text.splitlines())
    said = said[: at.start()] if at else said
    return f"{name} line {line} is no TOML: {said[:1].lower()}{said[1:300]}."


def _policy(reader: Reader, document: dict[str, Json], path: str) -> Policy:
    reader.table((), document, TABLES)
    chosen = _settings(reader, "gate", document.get("gate", {}), GATE)
    launch = document.get("launch", {})
    beside: tuple[Sidecar, ...] = ()
    if isinstance(launch, dict) and "sidecar" in launch:
        beside = sidecars(reader, launch["sidecar"])
        launch = {key: value for key, value in launch.items() if key != "sidecar"}
    chosen |= _settings(reader, "launch", launch, LAUNCH)
    accept = entries.accepted(reader, document.get("accept", []))
    allow = [
        entries.permission(reader, (key,), subject, document[key])
        for key, subject in PLACES.items()
        if key in document
    ]
    classes = entries.classes(reader, ("classes",), document.get("classes", {}), "")
    tools = document.get("tools", {})
    if not isinstance(tools, dict):
        reader.fail(("tools",), "'tools' is a table of tables, [tools.NAME] for each tool")
    for tool, table in tools.items():
        here: Path = ("tools", tool)
        subject = f"{ItemKind.TOOLS.value}/{tool}"
        keys = (*entries.PERMISSION, "classes")
        allow.append(entries.permission(reader, here, subject, table, keys))
        own = table.get("classes", {})
        classes += entries.classes(reader, (*here, "classes"), own, subject)
    if len(accept) + len(allow) + len(classes) > MAX_ENTRIES:
        raise PolicyUnreadable(f"{reader.name} has more than {MAX_ENTRIES} entries.")
    return Policy(
        origin=reader.name,
        path=path,
        accept=tuple(accept),
        allow=tuple(one for one in allow if one.endpoints or one.programs or one.paths),
        classes=tuple(classes),
        settings=chosen,
        sidecars=beside,
    )


# --- settings -------------------------------------------------------------------------------------


def _settings(reader: Reader, name: str, value: Json, fields: tuple[str, ...]) -> dict[str, Json]:
    """Settings by their field names."""
    keys = {field.replace("_", "-"): field for field in fields}
    if not isinstance(value, dict):
        reader.fail((name,), f"{name!r} is a table, not {kind(value)}")
    for key in value:
        field = key.replace("-", "_")
        if key not in keys and "_" not in key and field in settings.Settings.model_fields:
            other = next((one for one, of in _OTHER.items() if field in of), "")
            where = f"stands in [{other}]" if other else "is for the command and the action to say"
            reader.fail((name, key), f"{key!r} {where}")
        reader.known((name, key), key, keys, "key")
    return {
        keys[key]: _setting(reader, (name, key), key, keys[key], one) for key, one in value.items()
    }


_OTHER = {"gate": GATE, "launch": LAUNCH}


def _setting(reader: Reader, path: Path, key: str, field: str, value: Json) -> Json:
    if isinstance(settings.Settings.model_fields[field].default, tuple):
        reader.texts(path, value)
    elif isinstance(value, bool) or not isinstance(value, str | int | float):
        reader.fail(path, f"{key!r} cannot be {kind(value)}")
    try:
        settings.load({"context": ".", field: value})
    except BadInput as error:
        option = settings.option(field)
        said = error.what
        if said.startswith(option):
            said = f"{key}{said.removeprefix(option)}"
        reader.fail(path, said)
    return value
