"""What differs from run to run, and is written as a name in angle brackets or as ``*`` instead.

Some of it is told by its form alone: a time of day to the minute, the number of a process, a name
in a temporary folder, a port that the kernel chose. Of the rest (identifiers, times to the second,
long numbers) the form tells nothing, for documentation gives such examples too: these are replaced
only where the sessions of one run show different ones.

Every function here is idempotent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from mcp_sandbox.model import Json

_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = r"[0-9]{1,2}:[0-9]{2}"
_ZONE = r"(?:[ ]?(?:Z|UTC|GMT|[+-][0-9]{2}:?[0-9]{2})(?![\w]))?"
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_EPHEMERAL = 32_768
"""Ports from here on are the kernel's to choose (Linux, ``ip_local_port_range``)."""


@dataclass(frozen=True)
class _Form:
    """Something that is told by its form alone."""

    said: str
    pattern: re.Pattern[str]
    replace: str | Callable[[re.Match[str]], str]


def _port(match: re.Match[str]) -> str:
    high = _EPHEMERAL <= int(match[2]) <= 65_535  # noqa: PLR2004 - the last port
    return f"{match[1]}<port>" if high else match[0]


_FORMS = (
    _Form(
        "times of day",
        re.compile(rf"(?<![\w:.-]){_DATE}[T ]{_CLOCK}{_ZONE}(?![\w:])"),
        "<time>",
    ),
    _Form(
        "the day's date",
        re.compile(
            rf"(\b(?:today|now|currently|current date|as of)\b[^\n0-9<]{{0,24}}){_DATE}(?![\w-])",
            re.IGNORECASE,
        ),
        r"\1<date>",
    ),
    _Form(
        "numbers of processes",
        re.compile(r"(\bpid[ =:#]{1,3})[0-9]{1,10}\b", re.IGNORECASE),
        r"\1<number>",
    ),
    _Form(
        "names in temporary folders",
        re.compile(r"(?<![\w/])((?:/var)?/tmp/tmp)(?:[a-z0-9_]{8}|\.[A-Za-z0-9]{6,10})(?![\w.-])"),
        r"\1<random>",
    ),
    _Form(
        "ports that the kernel chose",
        re.compile(
            r"((?<![\w.-])(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1?\]):)([0-9]{5})(?![\w.])"
        ),
        _port,
    ),
)

_VARIABLE = re.compile(
    rf"(?<![\w:.-])(?P<time>{_DATE}[T ]{_CLOCK}:[0-9]{{2}}(?:[.,][0-9]{{1,9}})?{_ZONE}(?![\w:])"
    rf"|{_DAY}, [0-9]{{1,2}} {_MONTH} [0-9]{{4}} {_CLOCK}:[0-9]{{2}}(?: GMT| [+-][0-9]{{4}})?"
    rf"|{_DAY} {_MONTH} [ 0-9][0-9] {_CLOCK}:[0-9]{{2}}(?: [A-Z]{{3,4}})? [0-9]{{4}})"
    r"|(?<![\w-])(?P<uuid>[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12})(?![\w-])"
    r"|(?<![\w])(?P<hex>(?=[a-fA-F]*[0-9])[0-9A-Fa-f]{8,128})(?![\w])"
)
_KINDS = {"time": "times of day", "uuid": "identifiers", "hex": "identifiers"}
MAX_TOKENS = 100_000


def variables(texts: Iterable[str]) -> frozenset[str]:
    """Tokens of the texts that may differ from run to run: times, identifiers, long numbers."""
    found: set[str] = set()
    for text in texts:
        found.update(match[0] for match in _VARIABLE.finditer(text))
        if len(found) > MAX_TOKENS:
            break
    return frozenset(found)


class Normaliser:
    """Replaces what differs from run to run in texts, and remembers what it replaced where."""

    def __init__(self, constant: frozenset[str] | None = None) -> None:
        """``constant``: tokens that every session of the run showed; ``None``: all are taken so."""
        self._constant = constant
        self._said: set[tuple[str, str]] = set()

    @property
    def said(self) -> tuple[str, ...]:
        """What was replaced, a sentence each, sorted."""
        return tuple(sorted(f"{where}: {what} are left out." for where, what in self._said))

    def text(self, text: str, where: str) -> str:
        """One text; ``where`` is the subject that it belongs to."""
        text = writable(text)
        text = _VARIABLE.sub(lambda match: self._variable(match, where), text)
        for form in _FORMS:
            text = self._told(form.pattern, form.replace, text, where, form.said)
        return text

    def json(self, value: Json, where: str) -> Json:
        """Every string and long number of a JSON value; keys stay as they are."""
        if isinstance(value, str):
            return self.text(value, where)
        if isinstance(value, dict):
            return {writable(key): self.json(item, where) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.json(item, where) for item in value]
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**8:
            text = self.text(str(value), where)
            return value if text == str(value) else text
        return value

    def _told(
        self,
        pattern: re.Pattern[str],
        replace: str | Callable[[re.Match[str]], str],
        text: str,
        where: str,
        said: str,
    ) -> str:
        changed = pattern.sub(replace, text)
        if changed != text:
            self._said.add((where, said))
        return changed

    def _variable(self, match: re.Match[str], where: str) -> str:
        if self._constant is None or match[0] in self._constant:
            return match[0]
        kind = str(match.lastgroup)
        self._said.add((where, _KINDS[kind]))
        return f"<{kind}>"


def writable(text: str) -> str:
    """A text that UTF-8 can hold: a lone surrogate becomes the six characters of its escape."""
    return text.encode("utf-8", "backslashreplace").decode()


def strings(value: Json) -> Iterator[str]:
    """Every string and number of a JSON value as text; keys are none."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            waiting += one.values()
        elif isinstance(one, list | tuple):
            waiting += one
        elif isinstance(one, int) and not isinstance(one, bool):
            yield str(one)


def local_endpoint(text: str) -> str:
    """An endpoint on the machine itself, with ``*`` for a port that the kernel chose."""
    host, _, port = text.rpartition(":")
    return f"{host}:{ANY}" if port.isdecimal() and int(port) >= _EPHEMERAL else text


# --- paths ----------------------------------------------------------------------------------------

ANY = "*"
_MAX_PART = 128
_PARTS = (
    re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"),
    re.compile(r"(?<![0-9A-Za-z])(?=[a-fA-F]*[0-9])[0-9A-Fa-f]{8,}(?![0-9A-Za-z])"),
    re.compile(r"(?<=^tmp)[a-z0-9_]{8}(?=$|\.)|(?<=^tmp_obj_)[A-Za-z0-9]{6}$"),
    re.compile(r"(?<![0-9A-Za-z])[0-9]{2,}(?![0-9A-Za-z])|^[0-9]$"),
)
_RUNS = re.compile(r"\*(?:[._-]?\*)+")
_SHARD = re.compile(r"/objects/[0-9a-f]{2}(?=/|$)")


def path(text: str) -> str:
    """A path with ``*`` for what is a number, an identifier or a random name in it."""
    text = _SHARD.sub(f"/objects/{ANY}", text)
    return "/".join(_part(part) for part in text.split("/"))


def _part(part: str) -> str:
    if len(part) > _MAX_PART:
        return ANY
    for pattern in _PARTS:
        part = pattern.sub(ANY, part)
    return _RUNS.sub(ANY, part)


MOST_SIBLINGS = 8
"""Entries of one folder that are named one by one."""


def gathered(paths: Iterable[str]) -> dict[str, str]:
    """Path -> the path, or ``FOLDER/*`` for those of a folder with many entries.

    Folders are gone through from the deepest up; a folder whose entries were gathered counts as one
    entry of its own folder.
    """
    shown = {path: path for path in paths}
    for depth in range(max((one.count("/") for one in shown), default=0), 1, -1):
        folders: dict[str, set[str]] = {}
        for now in shown.values():
            parts = now.split("/")
            if len(parts) > depth:
                folders.setdefault("/".join(parts[:depth]), set()).add(parts[depth])
        many = {one for one, entries in folders.items() if len(entries) > MOST_SIBLINGS}
        for path_, now in shown.items():
            folder = "/".join(now.split("/")[:depth])
            if folder in many and now != folder:
                shown[path_] = f"{folder}/{ANY}"
    return shown
