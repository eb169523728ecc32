"""Settings that a file names, with or without a value, as what the server needs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from mcp_sandbox.launch import kinds, secrets
from mcp_sandbox.launch.dangers import Found
from mcp_sandbox.launch.reading import File
from mcp_sandbox.model.launch import Danger, DangerKind, Needed, SettingKind, Where, slot

_FORMATS = {
    "number": SettingKind.NUMBER,
    "integer": SettingKind.NUMBER,
    "boolean": SettingKind.BOOLEAN,
    "filepath": SettingKind.FILE,
    "file": SettingKind.FILE,
    "directory": SettingKind.FOLDER,
    "uri": SettingKind.URL,
    "url": SettingKind.URL,
    "email": SettingKind.EMAIL,
    "password": SettingKind.SECRET,
}
"""What the formats say for themselves -> what it is; ``string`` says nothing."""
_WAITS = re.compile(
    r"(?i)\s*|.*\$\{?[\w:.-]{1,100}\}?.*|.*\{\{?[^{}]*\}?\}.*|.*<[^<>]{0,100}>.*|\[.*\]|.*%\w+%.*"
    r"|(?:.*[\W_])?your(?:[\W_].*|\w*)|.*(?:change[\W_]?me|replace[\W_]?(?:me|with)|place[\W_]?holder"
    r"|path[\W_]to|x{4,}|\*{3,}|\.{3}).*"
    r"|(?:sk|ghp|pat|key|token)[\W_]*\.*|/users/(?:username|you|me|user)\b.*|/absolute/.*"
)
_DEFAULT = re.compile(r"\$\{\w{1,100}:-([^{}$]*)\}")
"""``${NAME:-default}``, as Claude Code has it."""


def kind(name: str, format_: str = "", about: str = "", *, secret: bool = False) -> SettingKind:
    """The kind of a setting, by what the file says of it, else by its name."""
    if secret:
        found = kinds.kind(name, about)
        return found if found is SettingKind.DATABASE else SettingKind.SECRET
    by_name = kinds.kind(name, about)
    said = _FORMATS.get(format_.lower())
    if said is SettingKind.FILE and by_name is SettingKind.FOLDER:
        return by_name  # a path is a file's or a folder's
    return said or by_name


def waits(value: str) -> bool:
    """Whether a value only stands for the one that the user has to fill in."""
    return len(value) <= secrets.MAX_VALUE and _WAITS.fullmatch(value) is not None


def variable(
    file: File,
    name: str,
    value: str | None,
    line: int,
    *,
    needed: Needed | None = None,
) -> tuple[list[Needed], list[Danger]]:
    """What becomes of one environment variable. ``value`` is ``None`` where only its name is given.

    ``needed``: what else is known of it. A secret's value goes nowhere.
    """
    if not kinds.may_be_set(name):
        if value is not None and not waits(value):
            file.problem(line, f"sets {name[:60]}, which is not passed on")
        return [], []
    if value is not None and (default := _DEFAULT.fullmatch(value[: secrets.MAX_VALUE])):
        value = default[1]
    known = needed or Needed(name, Where.ENVIRONMENT, kinds.kind(name), file.at(line))
    if value is None or waits(value):
        return [known], []
    if what := secrets.held(name, value):
        # The scanner's own value takes its place: nobody's secret is used.
        danger = Danger(f"{name}={secrets.MASK}", what, file.path, line, DangerKind.SECRET)
        return [known], [danger]
    if known.kind is SettingKind.SECRET:
        return [known], []
    fixed = Needed(
        known.name, known.where, known.kind, known.source, known.required, value, known.choices
    )
    return [fixed], []


def missing(path: str, mounts: Sequence[str]) -> bool:
    """Whether a path is there only where something is mounted, which is never done."""
    return any(path == mount or path.startswith(f"{mount}/") for mount in mounts)


def without_mounts(needed: Iterable[Needed], mounts: Sequence[str]) -> list[Needed]:
    """What is needed, with no value that leads to what is not mounted."""
    return [
        replace(one, value="", required=one.required or bool(one.value))
        if missing(one.value, mounts)
        else one
        for one in needed
    ]


def open_paths(
    words: Sequence[str], mounts: Sequence[str], source: str
) -> tuple[tuple[str, ...], list[Needed]]:
    """Arguments with a slot for each path that is not mounted, and what then is needed."""
    found: list[str] = []
    needed: dict[str, Needed] = {}
    for word in words:
        flag, equals, path = word.partition("=") if word.startswith("-") else ("", "", word)
        if not missing(path, mounts):
            found.append(word)
            continue
        is_file = re.search(r"\.\w{1,8}$", path) is not None
        kind_ = SettingKind.FILE if is_file else SettingKind.FOLDER
        needed[path] = Needed(path, Where.POSITIONAL, kind_, source)
        found.append(f"{flag}{equals}{slot(path)}")
    return tuple(found), list(needed.values())


def placed(found: Found, file: File, line: int) -> Danger:
    """A dangerous part with its place."""
    return Danger(found.option, found.why, file.path, line, found.kind)
