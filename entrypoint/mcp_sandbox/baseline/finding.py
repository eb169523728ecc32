"""Which file counts: the one of the base branch, the one of the checkout, or one that was named.

A pull request's checkout holds what the pull request wrote. So where the base commit is known, the
file of *that* commit counts, and the checkout's is only compared with it: nobody blesses himself.
What counts is the tip of the base branch as the event names it, not the commit that the branch once
began at: what others had accepted on the base since then is accepted, and the checkout of a pull
request is its merge with that tip. A base that cannot be read is never replaced by the checkout's
file, and is told apart from a base that has no such file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mcp_sandbox.baseline import objects
from mcp_sandbox.errors import BadInput

AUTO = "auto"
NONE = "none"

_LFS = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True)
class Wanted:
    """A file that is looked for."""

    name: str
    """Its usual name, in the folder that is scanned."""
    option: str
    given: str
    """``auto``, ``none`` or a path."""
    most: int
    """Bytes it may have."""


@dataclass(frozen=True)
class Found:
    """What was found, not yet read as what it should be."""

    origin: str
    """``PATH`` or ``PATH of commit ABC``; where it was looked for when there is none."""
    data: bytes | None = None
    """What counts; ``None`` when there is none."""
    path: str = ""
    """Relative to the repository's root; empty when it is not in one."""
    why: str = ""
    """Why there is none, and the way out."""
    readable: bool = True
    """``False``: nobody knows whether there is one, because the base commit is not at hand."""
    checkout: bytes | None = None
    """What the checkout has there, where that is not what counts."""
    deleted: bool = False
    """The base commit has it and the checkout has not."""


@dataclass(frozen=True)
class Checkout:
    """Where it is looked for."""

    context: Path | None
    """The folder that is scanned; ``None`` for an image."""
    base: str
    """Commit whose files count; empty where the checkout's own do."""
    root_of: Callable[[Path], Path]
    """Folder -> the root of the repository that holds it, or itself."""
    environment: Mapping[str, str]
    """Where git is looked for."""


def find(wanted: Wanted, checkout: Checkout) -> Found | None:
    """The file that counts; ``None`` when none is wanted.

    Raises ``BadInput`` for a file that is there and cannot be used, and for a named one that is
    nowhere.
    """
    if wanted.given == NONE:
        return None
    named = wanted.given != AUTO
    if named:
        file = Path(os.path.abspath(wanted.given))  # noqa: PTH100 - a link is to be seen as one
        file = file.parent.resolve() / file.name
    elif checkout.context is None:
        return Found(
            "an image, which has no checkout",
            why=f"An image brings no {wanted.name} along: name one with {wanted.option} FILE.",
        )
    else:
        file = checkout.context.resolve() / wanted.name
    root = checkout.root_of(file.parent)
    path = file.relative_to(root).as_posix() if (root / ".git").exists() else ""
    if not checkout.base or (named and _elsewhere(root, checkout)):
        return _of_checkout(wanted, file, path, named=named)
    return _of_base(wanted, checkout, root, file, named=named)


def _elsewhere(root: Path, checkout: Checkout) -> bool:
    """Whether a named file lies where no pull request can write it: outside of the repository."""
    if checkout.context is None:
        return False
    scanned = checkout.root_of(checkout.context)
    return root != scanned and (scanned / ".git").exists()


def _of_checkout(wanted: Wanted, file: Path, path: str, *, named: bool) -> Found:
    data = read(wanted, file)
    if data is None and named:
        raise BadInput(
            f"{wanted.option} {file}: there is no such file.",
            next_step=f"Name one that is there, or set {wanted.option} to none.",
        )
    # Named as in the repository: the same wherever it is checked out.
    folder = "The folder that is scanned"
    if path:
        folder = path.rpartition("/")[0] or "The root of the repository"
    why = "" if data is not None else f"{folder} holds no {wanted.name}."
    return Found(path or (wanted.given if named else wanted.name), data, path, why)


def _of_base(wanted: Wanted, checkout: Checkout, root: Path, file: Path, *, named: bool) -> Found:
    path = file.relative_to(root).as_posix()
    origin = f"{path} of commit {checkout.base[:12]}"
    own = read(wanted, file)
    try:
        data = objects.read(
            root, checkout.base, path, most=wanted.most, environment=checkout.environment
        )
    except objects.NotAtHand as error:
        why = f"{path} of the base branch cannot be read. {error}"
        return Found(origin, path=path, why=why, readable=False, checkout=own)
    if data is None:
        if named and own is None:
            raise BadInput(
                f"{wanted.option} {file}: neither the base commit nor the checkout has it.",
                next_step=f"Name one that is there, or set {wanted.option} to none.",
            )
        why = f"The base commit {checkout.base[:12]} has no {path}."
        if own is not None:
            why += " What the checkout has there counts once it is on the base branch."
        return Found(origin, path=path, why=why, checkout=own)
    _check(origin, data)
    return Found(origin, data, path, checkout=own, deleted=own is None)


def read(wanted: Wanted, file: Path) -> bytes | None:
    """A file of the checkout; ``None`` when there is nothing.

    Raises ``BadInput`` for a link, what is no regular file, and what is too large.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None  # a context that is no folder is told of by who builds it
    except (OSError, ValueError) as error:
        why = "it is a link" if file.is_symlink() else getattr(error, "strerror", None) or error
        raise BadInput(
            f"{file} cannot be read: {why}.", next_step="Put the file itself there."
        ) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise BadInput(f"{file} is no regular file.", next_step="Put the file itself there.")
    with os.fdopen(descriptor, "rb") as stream:
        data = stream.read(wanted.most + 1)
    if len(data) > wanted.most:
        raise BadInput(
            f"{file} is larger than the {wanted.most} bytes that it may have.",
            next_step="Name another file.",
        )
    _check(str(file), data)
    return data


def _check(origin: str, data: bytes) -> None:
    if data.startswith(_LFS):
        raise BadInput(
            f"{origin} is a pointer of Git LFS, not the file itself.",
            next_step="Keep it out of LFS: it is small, and its diff is to be read.",
        )
