"""Who a server runs as, and where that user's home is: the rules of Docker, as pure functions."""

from __future__ import annotations

from mcp_sandbox.model import Relaxation
from mcp_sandbox.sandbox.spec import LADDER, UNPRIVILEGED

_FIELDS = 7
_HOME = 5
_UID = 2
_GID = 3


def is_root(user: str, passwd: bytes) -> bool:
    """Whether an image's ``USER`` is uid 0: empty, a number, or a name of ``/etc/passwd``."""
    name = user.partition(":")[0]
    if not name or name == "root":
        return True
    number = _number(name)
    if number is not None:
        return number == 0
    return any(row[0] == name and _number(row[_UID]) == 0 for row in _rows(passwd))


def effective_user(user: str, passwd: bytes, relaxation: Relaxation) -> str:
    """The image's user, unless that is root and the ladder has not come to it."""
    if LADDER.index(relaxation) >= LADDER.index(Relaxation.IMAGE_USER):
        return user
    return UNPRIVILEGED if is_root(user, passwd) else user


def home(user: str, passwd: bytes, environment: tuple[str, ...]) -> str:
    """HOME as the engine sets it: the environment's, else that of ``/etc/passwd``, else ``/``."""
    for pair in reversed(environment):
        name, _, value = pair.partition("=")
        if name == "HOME" and value:
            return value
    name = user.partition(":")[0] or "0"
    number = _number(name)
    for row in _rows(passwd):
        if row[0] == name or (number is not None and _number(row[_UID]) == number):
            return row[_HOME] or "/"
    return "/"


def numbers(user: str, passwd: bytes) -> tuple[int, int]:
    """Uid and gid of a ``USER``; 0 for what is no number and not in ``/etc/passwd``.

    A group's name is not looked up: the gid is the user's own then.
    """
    name, _, group = user.partition(":")
    number = _number(name)
    for row in _rows(passwd):
        if row[0] == name or (number is not None and _number(row[_UID]) == number):
            uid, gid = _number(row[_UID]) or 0, _number(row[_GID]) or 0
            break
    else:
        uid, gid = number or 0, 0
    chosen = _number(group)
    return uid, gid if chosen is None else chosen


def _number(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _rows(passwd: bytes) -> list[list[str]]:
    lines = passwd.decode("utf-8", "surrogateescape").splitlines()
    rows = [line.strip().split(":") for line in lines]
    return [row for row in rows if len(row) >= _FIELDS]
