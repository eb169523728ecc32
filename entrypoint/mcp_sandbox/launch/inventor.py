"""Gives a server what it lacks, and something else where that was not accepted."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field, replace

from mcp_sandbox.launch import symptoms
from mcp_sandbox.launch.fakes import FILES, tries
from mcp_sandbox.launch.kinds import may_be_set
from mcp_sandbox.launch.needs import readable
from mcp_sandbox.model.launch import Invented, Needed, SettingKind, Where

MAX_INVENTED = 48

Mint = Callable[[str, str, str], str]
"""Makes a planted secret: its place, the name that decides its shape, and a text with ``{}`` for it
(empty: in the shape alone)."""

_TO_BLAME = (SettingKind.DATABASE, SettingKind.FILE, SettingKind.FOLDER)


def _ends_a_word(line: str, value: str) -> bool:
    """Whether a line has a value as the end of a path or as a whole word in quotes."""
    return any(
        f"{before}{value}{after}" in line
        for before in ("/", "'", '"', "`", " ")
        for after in ("'", '"', "`")
    )


@dataclass
class Inventor:
    """Gives a server what it lacks, never what the user has given it; knows what it gave."""

    seed: int
    mint: Mint
    taken: Collection[str]
    """Variables and options that are the user's."""
    slotted: Collection[str] = ()
    """Settings whose values have a place among declared arguments."""
    _given: dict[str, tuple[Needed, int, str]] = field(default_factory=dict)
    """Name -> the setting, which of its tries is in use, and the value."""
    _files: dict[str, bytes] = field(default_factory=dict)

    def add(self, needed: Iterable[Needed]) -> bool:
        """Invent what is new, and something else for what was not accepted.

        Returns whether anything changed.
        """
        changed = False
        for one in needed:
            _, turn, _ = self._given.get(one.name, (one, -1, ""))
            changed = self._give(one, turn + 1) or changed
        return changed

    def reconsider(self) -> bool:
        """Try another value for one setting; returns whether there was one.

        What has to be there is more likely to blame than a word, and what came last than the rest.
        """
        latest = tuple(reversed(self._given.values()))
        ordered = sorted(
            latest,
            key=lambda one: _TO_BLAME.index(one[0].kind) if one[0].kind in _TO_BLAME else 9,
        )
        return any(self._give(needed, turn + 1) for needed, turn, _ in ordered)

    def opened(self, text: str) -> tuple[str, ...]:
        """Give a file to each setting whose value was opened as one; returns their names.

        ``text``: what the server said, its secrets masked.
        """
        lines = [line for line in readable(text) if symptoms.NO_FILE.search(line)]
        given = [
            name
            for name, (needed, _, _) in self._given.items()
            if needed.where is not Where.FILE and needed.kind is not SettingKind.FILE
        ]
        shown = {name: self.value(name)[1] for name in given}
        found = [
            name
            for name, value in shown.items()
            if value and any(_ends_a_word(line, value) for line in lines)
        ]
        if not found and any(symptoms.A_FOLDER.search(line) for line in lines):
            # It does not say which: the last one that was given a folder.
            folders = [one for one in given if self._given[one][0].kind is SettingKind.FOLDER]
            found = folders[-1:]
        for name in found:
            needed = replace(self._given[name][0], kind=SettingKind.FILE, value="")
            self._given[name] = (needed, -1, "")
        return tuple(name for name in found if self._give(self._given[name][0], 0))

    def written(self, text: str) -> tuple[str, ...]:
        """Give each setting whose file was to be written a path where that can be done.

        Returns their names. ``text`` as for ``opened``.
        """
        lines = [line for line in readable(text) if symptoms.FOLDER.search(line)]
        found = []
        for name, (needed, turn, value) in tuple(self._given.items()):
            last = len(tries(needed, self.seed)) - 1
            ours = value.startswith(f"{FILES}/")
            if ours and turn < last and any(_ends_a_word(line, value) for line in lines):
                self._give(needed, last)
                found.append(name)
        return tuple(found)

    def _give(self, needed: Needed, turn: int) -> bool:
        name = needed.name
        if name in self.taken or (name not in self._given and len(self._given) >= MAX_INVENTED):
            return False
        if needed.where is Where.ENVIRONMENT and not may_be_set(name.upper()):
            return False
        known = self._given.get(name)
        # What the setting is was told best by who named it first.
        needed = known[0] if known and known[0].kind is not SettingKind.TEXT else needed
        possible = tries(needed, self.seed)
        if turn >= len(possible):
            return False
        chosen = possible[turn]
        value, file = chosen.value, chosen.file
        if chosen.secret:
            form = file or value
            made = self.mint(place(needed), name, form)
            value, file = (value, made) if file else (made, "")
        if file:
            self._files[value] = file.encode()
        self._given[name] = (needed, turn, value)
        return True

    @property
    def secrets(self) -> dict[str, str]:
        """Variables with planted secrets."""
        return {name: value for name, value in self._variables() if self._is_secret(name)}

    @property
    def settings(self) -> tuple[str, ...]:
        """``NAME=VALUE`` of the variables that anybody may read."""
        return tuple(f"{n}={value}" for n, value in self._variables() if not self._is_secret(n))

    @property
    def arguments(self) -> tuple[tuple[str, str], ...]:
        """Arguments after the server's own, each with what may be shown of it.

        Commands first, then options, then what is positional.
        """
        first: list[tuple[str, str]] = []
        found: list[tuple[str, str]] = []
        last: list[tuple[str, str]] = []
        for name, (needed, _, _) in self._given.items():
            value, shown = self.value(name)
            if name in self.slotted:
                continue
            if needed.where is Where.POSITIONAL:
                (first if needed.kind is SettingKind.CHOICE else last).append((value, shown))
            elif name.startswith("--") and value:
                found.append((f"{name}={value}", f"{name}={shown}"))
            elif needed.where is Where.FLAG:
                found += [(name, name), (value, shown)] if value else [(name, name)]
        return (*first, *found, *last)

    def value(self, name: str) -> tuple[str, str]:
        """The value of a setting and what may be shown of it; both empty for one that has none."""
        if name not in self._given:
            return "", ""
        needed, _, value = self._given[name]
        return value, f"<planted:{place(needed)}>" if self._is_secret(name) else value

    @property
    def files(self) -> dict[str, bytes]:
        """Files that the values name, to be put into the image."""
        return dict(self._files)

    @property
    def folders(self) -> tuple[str, ...]:
        """Folders that the server was given to work in."""
        return tuple(
            dict.fromkeys(
                value
                for needed, _, value in self._given.values()
                if needed.kind is SettingKind.FOLDER and "." not in value
            )
        )

    @property
    def invented(self) -> tuple[Invented, ...]:
        """What the report says of it all."""
        return tuple(
            Invented(
                name=name,
                where=needed.where,
                kind=needed.kind,
                source=needed.source,
                shown="" if self._is_secret(name) or needed.where is Where.FILE else value,
            )
            for name, (needed, _, value) in self._given.items()
        )

    def _variables(self) -> list[tuple[str, str]]:
        return [
            (name, value)
            for name, (needed, _, value) in self._given.items()
            if needed.where is Where.ENVIRONMENT
        ]

    def _is_secret(self, name: str) -> bool:
        """Whether its value holds a planted secret, rather than the path of a file with one."""
        needed, turn, _ = self._given[name]
        chosen = tries(needed, self.seed)[turn]
        return chosen.secret and not chosen.file


def place(needed: Needed) -> str:
    """Where a secret of this setting is planted, in the words of the report."""
    if needed.where is Where.FILE:
        # No decoy (``file:``): it is there to be read.
        return f"setting:{needed.name}"
    return f"{'env' if needed.where is Where.ENVIRONMENT else 'argument'}:{needed.name}"
