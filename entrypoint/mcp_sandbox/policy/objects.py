"""Endpoints, programs and paths as a policy writes them, and what they allow."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator

from mcp_sandbox import deeds, endpoints
from mcp_sandbox.model import Deed
from mcp_sandbox.model.locked import Part, Permission

EVERYWHERE = "*"
"""The subject of what every place may do."""
BELOW = "/**"
ANY = "*."
_PORT = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
_BRACKETS = re.compile(r"\[([^\]]*)\]:([^:\]]*)")
_LAST_PORT = 65_535
_PROGRAM = re.compile(r"[\w.+-]{1,100}")
_MAX = 1_024


def parse_endpoint(text: str) -> str:
    """``HOST``, ``HOST:PORT``, ``HOST:PORT/udp``, ``*.DOMAIN`` with or without a port; one form.

    Raises ``ValueError``.
    """
    datagrams = text.endswith(deeds.UDP)
    name, port = _split(text.removesuffix(deeds.UDP))
    if datagrams and not port:
        raise ValueError("datagrams need a port: HOST:PORT/udp")
    if port and (not _PORT.fullmatch(port) or int(port) > _LAST_PORT):
        raise ValueError(f"a port is a number from 1 to {_LAST_PORT}, not {port!r}")
    below = name.startswith(ANY)
    known = endpoints.host(name.removeprefix(ANY))
    if below and (endpoints.address(known) or "." not in known):
        raise ValueError("*. stands before a domain of two names or more")
    named = deeds.endpoint(known, int(port or 0), datagrams=datagrams)
    return ANY + named if below else named


def _split(text: str) -> tuple[str, str]:
    if text.startswith("["):
        name, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")) or rest == ":":
            raise ValueError("an IPv6 address with a port is [ADDRESS]:PORT")
        return name, rest[1:]
    if text.count(":") > 1:
        return text, ""
    name, colon, port = text.partition(":")
    if colon and not port:
        raise ValueError("expected HOST or HOST:PORT")
    return name, port


def parse_program(text: str) -> str:
    """The name of a program, as ``deeds.short`` gives it. Raises ``ValueError``."""
    if not _PROGRAM.fullmatch(text):
        raise ValueError("a program is its name, without folder and arguments")
    return deeds.short(text)


def parse_path(text: str) -> str:
    """An absolute path, ``/**`` at its end for all below it. Raises ``ValueError``."""
    base = text.removesuffix(BELOW)
    if not base.startswith("/") or base == "/" or len(text) > _MAX or "\0" in text:
        raise ValueError("a path is absolute, and not all of the file system")
    if posixpath.normpath(base) != base or base.startswith("//"):
        raise ValueError("a path is written without '..', '.', '//' and a '/' at its end")
    if "*" in base:
        raise ValueError(f"{BELOW!r} at the end is the only wildcard")
    return text


PARSERS: dict[str, Callable[[str], str]] = {
    "endpoints": parse_endpoint,
    "programs": parse_program,
    "paths": parse_path,
}
"""Key of a permission -> what reads one of its entries."""

ENDPOINTS, PROGRAMS, PATHS = PARSERS
_NAMES = "names"


class Allowed:
    """All permissions, by what they allow where: as many look-ups as an object has parts."""

    def __init__(self, permissions: Iterable[Permission]) -> None:
        """The first permission that allows something is the one that is named."""
        self._table: dict[tuple[str, str, str], Permission] = {}
        for one in permissions:
            for key, allowed in (
                (ENDPOINTS, one.endpoints),
                (PROGRAMS, one.programs),
                (PATHS, one.paths),
            ):
                for text in allowed:
                    self._table.setdefault((one.subject, key, text), one)
                    if key == ENDPOINTS:  # who may connect may look the name up
                        self._table.setdefault((one.subject, _NAMES, _split(text)[0]), one)

    def by(self, deed: Deed, *, exactly: bool = False) -> Permission | None:
        """The permission for a deed; ``exactly``: by a path that is named, not by its folder."""
        for key, text in _forms(deed, exactly=exactly):
            for subject in (deed.subject, EVERYWHERE):
                if (one := self._table.get((subject, key, text))) is not None:
                    return one
        return None


def _forms(deed: Deed, *, exactly: bool) -> Iterator[tuple[str, str]]:
    """Everything that a policy could say to allow a deed."""
    if deed.part == Part.ENDPOINT.value:
        yield from _endpoints(deed.object)
    elif deed.part == Part.PROGRAM.value:
        yield PROGRAMS, deed.object
    elif deed.part in {Part.READ.value, Part.WRITE.value}:
        path = deed.object
        if not path.startswith("/") or posixpath.normpath(path) != path:
            return
        yield PATHS, path
        while not exactly and path != "/":
            yield PATHS, path + BELOW
            path = posixpath.dirname(path)


def _endpoints(text: str) -> Iterator[tuple[str, str]]:
    name, port = _seen(text)
    hosts = [name]
    if ":" not in name and endpoints.address(name) is None:
        labels = name.split(".")
        hosts += [ANY + ".".join(labels[at:]) for at in range(1, len(labels) - 1)]
    for one in hosts:
        if port:
            yield ENDPOINTS, f"[{one}]:{port}" if ":" in one else f"{one}:{port}"
        else:
            yield _NAMES, one
        yield ENDPOINTS, one


def _seen(text: str) -> tuple[str, str]:
    """Host and port of what was seen; a peer may have named its hosts as it liked."""
    if match := _BRACKETS.fullmatch(text):
        return match[1], match[2]
    name, _, port = text.partition(":") if text.count(":") == 1 else (text, "", "")
    return name, port
