"""Declared arguments in which the value of a needed setting is still open."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mcp_sandbox.model.launch import Needed, slot


def open_in(arguments: Sequence[str], needed: Iterable[Needed]) -> tuple[Needed, ...]:
    """What is needed for the arguments, and for nothing else."""
    return tuple(one for one in needed if any(slot(one.name) in word for word in arguments))


def filled(arguments: Sequence[str], values: Mapping[str, str]) -> tuple[str, ...]:
    """The arguments with the values of settings by name; a slot without one stays.

    A value is not looked at for slots of its own.
    """
    found = []
    for word in arguments:
        pieces = [word]
        for name, value in values.items():
            pieces = _replaced(pieces, slot(name), value)
        found.append("".join(pieces))
    return tuple(found)


def _replaced(pieces: list[str], wanted: str, value: str) -> list[str]:
    """What was put in stands at the odd places, and is left alone."""
    done: list[str] = []
    for at, piece in enumerate(pieces):
        if at % 2:
            done.append(piece)
            continue
        parts = piece.split(wanted)
        for number, part in enumerate(parts):
            done += [value, part] if number else [part]
    return done
