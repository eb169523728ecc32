"""A build context as a tar stream: filtered, bounded, in a fixed order, with nothing followed.

What is sent is decided by one walk that opens nothing; the stream then reads the files without
following links, so that a folder changed in between cannot smuggle in what the walk left out.
``.git`` is never sent (a checkout keeps tokens there). The Dockerfile always is, even when the
ignore file names it: BuildKit finds it inside the archive. Owner and times are constants; mode
bits are kept.
"""

from __future__ import annotations

import os
import posixpath
import stat
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mcp_sandbox.errors import ContextRejected, DockerfileMissing
from mcp_sandbox.image import dockerfile as dockerfile_text
from mcp_sandbox.image import ignore

MAX_BYTES = 512 * 2**20
MAX_FILES = 50_000
MAX_DEPTH = 64
MAX_DOCKERFILE = 2**20
MAX_LEFT_OUT = 200
MAX_WALK = 120.0
"""Seconds."""

_TIME = 946_684_800
"""2000-01-01: a constant that tools which cannot write dates before 1980 accept too."""
BLOCK = 512
"""Bytes of which a tar's headers and contents have whole numbers."""
_CHUNK = 256 * 2**10
_NEVER_SENT = ".git"


@dataclass(frozen=True)
class Entry:
    """One member of the archive. ``path`` is relative, ``/``-separated."""

    path: str
    mode: int
    size: int = 0
    link: str = ""


@dataclass(frozen=True)
class Context:
    """What will be sent."""

    root: Path
    entries: tuple[Entry, ...]
    dockerfile: str
    dockerfile_bytes: bytes
    left_out: tuple[str, ...]

    @property
    def files(self) -> int:
        """Regular files and links."""
        return sum(1 for entry in self.entries if not stat.S_ISDIR(entry.mode))

    @property
    def total(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.entries)


def collect(
    root: Path,
    dockerfile: Path | None = None,
    *,
    max_bytes: int = MAX_BYTES,
    max_files: int = MAX_FILES,
) -> Context:
    """Walk ``root`` and decide what is sent. ``dockerfile`` is relative to it (or inside it).

    Raises ``ContextRejected`` (no folder, unreadable, too large, unusable ignore file) and
    ``DockerfileMissing`` (absent, outside the context, no regular file).
    """
    try:
        base = root.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise ContextRejected(f"The build context {str(root)!r} cannot be opened.") from error
    if not base.is_dir():
        raise ContextRejected(f"The build context {str(root)!r} is not a folder.")
    name = _dockerfile_name(base, dockerfile)
    try:
        source, frontend = dockerfile_text.neutralise(_read(base / name, MAX_DOCKERFILE))
    except ValueError as error:
        raise ContextRejected(
            f"{name} cannot be used: {error}.", next_step="Write it as Docker documents it."
        ) from error
    walk = _Walk(base, name, _matcher(base, name), max_bytes, max_files)
    walk.run()
    left_out = list(walk.left_out[:MAX_LEFT_OUT])
    if len(walk.left_out) > MAX_LEFT_OUT:
        left_out.append(f"…: {len(walk.left_out) - MAX_LEFT_OUT} more")
    if frontend:
        left_out.insert(0, f"{name}: its '# syntax={frontend}' (the engine's own frontend is used)")
    return Context(base, tuple(walk.entries), name, source, tuple(left_out))


def stream(context: Context) -> Iterator[bytes]:
    """The archive, chunk by chunk; equal for equal trees.

    Raises ``ContextRejected`` when a file changed its size or kind since the walk.
    """
    for entry in context.entries:
        info = tarfile.TarInfo(entry.path)
        info.mode = stat.S_IMODE(entry.mode)
        info.mtime = _TIME
        info.uname = info.gname = "root"
        if entry.path == context.dockerfile:
            info.size = len(context.dockerfile_bytes)
            yield _header(info)
            yield from _padded(iter([context.dockerfile_bytes]), info.size)
        elif stat.S_ISDIR(entry.mode):
            info.type = tarfile.DIRTYPE
            yield _header(info)
        elif stat.S_ISLNK(entry.mode):
            info.type, info.linkname = tarfile.SYMTYPE, entry.link
            yield _header(info)
        else:
            info.size = entry.size
            yield _header(info)
            yield from _padded(_file(context.root, entry), entry.size)
    yield b"\0" * 1024


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _padded(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    yield from chunks
    if size % tarfile.BLOCKSIZE:
        yield b"\0" * (tarfile.BLOCKSIZE - size % tarfile.BLOCKSIZE)


def _file(root: Path, entry: Entry) -> Iterator[bytes]:
    """Exactly ``entry.size`` bytes of a regular file, reached without following any link."""
    changed = ContextRejected(
        f"{entry.path!r} changed while it was being sent.",
        next_step="Try again when nothing writes into the folder.",
    )
    try:
        descriptor = _open_beneath(root, entry.path)
    except OSError as error:
        raise changed from error
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_size != entry.size:
            raise changed
        rest = entry.size
        while rest:
            data = file.read(min(rest, _CHUNK))
            if not data:
                raise changed
            rest -= len(data)
            yield data


def _open_beneath(root: Path, path: str) -> int:
    """Open ``root/path`` for reading; a link in any place is refused by the kernel."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    *folders, name = path.split("/")
    at = os.open(root, flags | os.O_DIRECTORY)
    try:
        for folder in folders:
            below = os.open(folder, flags | os.O_DIRECTORY, dir_fd=at)
            os.close(at)
            at = below
        return os.open(name, flags | os.O_NONBLOCK, dir_fd=at)
    finally:
        os.close(at)


def _read(path: Path, limit: int) -> bytes:
    """A small file of the context; links were resolved by the caller."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise ContextRejected(f"{path.name} cannot be read ({error.strerror}).") from error
    if len(data) > limit:
        raise ContextRejected(f"{path.name} is larger than {limit // 1024} KiB.")
    return data


def _dockerfile_name(base: Path, dockerfile: Path | None) -> str:
    """The Dockerfile's path inside the context, links resolved."""
    asked = Path("Dockerfile") if dockerfile is None else dockerfile
    try:
        real = (base / asked).resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise DockerfileMissing(f"There is no {str(asked)!r} in {str(base)!r}.") from error
    if not real.is_relative_to(base):
        raise DockerfileMissing(
            f"{str(asked)!r} lies outside the build context.",
            next_step="Name a Dockerfile inside the context.",
        )
    name = real.relative_to(base).as_posix()
    if not real.is_file() or _NEVER_SENT in name.split("/"):
        raise DockerfileMissing(f"{str(asked)!r} is not a file that can be sent.")
    return name


def _matcher(base: Path, dockerfile: str) -> ignore.Matcher:
    """``<Dockerfile>.dockerignore`` beside the Dockerfile wins over ``.dockerignore``."""
    for name in (f"{dockerfile}.dockerignore", ".dockerignore"):
        path = base / name
        if not path.is_file():
            continue
        if not path.resolve().is_relative_to(base):
            raise ContextRejected(f"{name} is a link that leaves the build context.")
        try:
            return ignore.Matcher(ignore.parse(_read(path, 2**20).decode("utf-8", "replace")))
        except ValueError as error:
            raise ContextRejected(
                f"{name} cannot be used: {error}.", next_step="Mend that line and try again."
            ) from error
    return ignore.Matcher(())


class _Walk:
    """One walk over a context, in the order of the archive."""

    def __init__(
        self, base: Path, dockerfile: str, matcher: ignore.Matcher, max_bytes: int, max_files: int
    ) -> None:
        self.base = base
        self.dockerfile = dockerfile
        self.matcher = matcher
        self.max_bytes = max_bytes
        self.max_files = max_files
        self.entries: list[Entry] = []
        self.left_out: list[str] = []
        self._bytes = 0
        self._deadline = time.monotonic() + MAX_WALK

    def run(self) -> None:
        self._folder("", (), 0)

    def _folder(self, path: str, verdicts: tuple[bool, ...], depth: int) -> None:
        if depth > MAX_DEPTH:
            raise ContextRejected(f"The build context is nested deeper than {MAX_DEPTH} folders.")
        try:
            with os.scandir(self.base / path) as found:
                children = sorted(found, key=lambda child: os.fsencode(child.name))
        except OSError as error:
            raise ContextRejected(
                f"{path or '.'!r} in the build context cannot be read ({error.strerror})."
            ) from error
        for child in children:
            self._child(f"{path}/{child.name}" if path else child.name, verdicts, depth)

    def _child(self, path: str, above: tuple[bool, ...], depth: int) -> None:
        if time.monotonic() > self._deadline:
            raise ContextRejected(f"Reading the build context took longer than {MAX_WALK:.0f} s.")
        found = os.lstat(self.base / path)
        if posixpath.basename(path) == _NEVER_SENT:
            return
        verdicts = self.matcher.verdicts(path, above)
        ignored = self.matcher.ignored(verdicts)
        leads_to_dockerfile = self.dockerfile.startswith(path + "/")
        if stat.S_ISDIR(found.st_mode):
            if ignored and not self.matcher.may_bring_back and not leads_to_dockerfile:
                return
            mark = len(self.entries)
            self._add(Entry(path, found.st_mode))
            self._folder(path, verdicts, depth + 1)
            if ignored and len(self.entries) == mark + 1:
                self.entries.pop()  # nothing below was brought back
            return
        if ignored and path != self.dockerfile:
            return
        if stat.S_ISLNK(found.st_mode):
            self._link(path, found.st_mode)
        elif not stat.S_ISREG(found.st_mode):
            self.left_out.append(f"{path}: neither file, folder nor link")
        else:
            self._add(Entry(path, found.st_mode, size=found.st_size))

    def _link(self, path: str, mode: int) -> None:
        target = str((self.base / path).readlink())
        joined = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        real = Path(os.path.realpath(self.base / path))
        if target.startswith("/") or joined == ".." or joined.startswith("../"):
            self.left_out.append(f"{path}: a link that leaves the context")
        elif not real.is_relative_to(self.base):
            self.left_out.append(f"{path}: a link that leaves the context by another link")
        else:
            self._add(Entry(path, mode, link=target))

    def _add(self, entry: Entry) -> None:
        self.entries.append(entry)
        self._bytes += entry.size
        if len(self.entries) > self.max_files:
            raise ContextRejected(f"The build context holds more than {self.max_files} files.")
        if self._bytes > self.max_bytes:
            raise ContextRejected(
                f"The build context is larger than {self.max_bytes // 2**20} MiB."
            )
