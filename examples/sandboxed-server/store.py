"""A folder of small text files that a hostile caller cannot get out of.

Everything happens relative to one directory descriptor, opened once at start. No path is ever
joined, resolved or compared as text, so there is nothing to trick: a name is a single directory
entry or it is refused, and what was checked is the very file that is read.

Needs the standard library only, and a POSIX system.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MAX_NAME_CHARS: Final = 100
MAX_CONTENT_CHARS: Final = 10_000
# Four bytes is the longest UTF-8 character, so whatever may be written may also be read back.
MAX_FILE_BYTES: Final = 4 * MAX_CONTENT_CHARS
MAX_FILES: Final = 100

# An allow-list of ASCII, and no character that means something to a file system, a URL or a
# shell: that leaves nothing of `/`, `\\`, `%2e`, NUL, look-alikes or hidden names to filter.
NAME_PATTERN: Final = "^[A-Za-z0-9][A-Za-z0-9._-]*$"
_NAME: Final = re.compile(NAME_PATTERN.removeprefix("^").removesuffix("$"))

# These open a device when the folder is a volume of a Windows host.
_RESERVED: Final = frozenset(
    ["con", "prn", "aux", "nul"]
    + [f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789"]
)

_TEMP_PREFIX: Final = ".partial-"
_TEMP_MAX_AGE_SECONDS: Final = 60.0
_NO_FOLLOW: Final = os.O_NOFOLLOW | os.O_CLOEXEC


class StoreError(Exception):
    """A refusal, in words that are safe to show: no path and nothing the caller sent."""


@dataclass(frozen=True)
class StoredFile:
    """One entry of the folder."""

    name: str
    size: int
    modified: float


class Store:
    """Reads and writes text files in one folder, and nowhere else."""

    def __init__(self, folder: str) -> None:
        """Open `folder`, creating it when it is missing.

        Raises:
            StoreError: If the folder is a symbolic link, or somebody else could change it.
        """
        self._root = _open_folder(folder)
        # Counting the files and adding one must be a single step among our own threads.
        self._write_lock = threading.Lock()
        self._remove_leftovers()

    def close(self) -> None:
        """Give the folder's descriptor back."""
        os.close(self._root)

    def check(self) -> None:
        """Show that the folder can still be written to.

        Raises:
            StoreError: If it cannot.
        """
        with _refusals("The store is not usable."):
            os.unlink(self._write_temporary(b""), dir_fd=self._root)

    def write(self, name: str, content: str) -> None:
        """Store `content` under `name`: all of it or none, whatever happens on the way.

        Raises:
            StoreError: If the name, the content or the number of files is not allowed.
        """
        _check_name(name)
        data = _encode(content)
        with self._write_lock, _refusals("The file could not be stored."):
            self._check_room(name)
            temporary = self._write_temporary(data)
            try:
                # A rename replaces the directory entry itself. Should a link appear under this
                # name after the check above, the link is replaced and its target stays as it is.
                os.rename(temporary, name, src_dir_fd=self._root, dst_dir_fd=self._root)
            except OSError:
                os.unlink(temporary, dir_fd=self._root)
                raise

    def read(self, name: str) -> str:
        """Return the text stored under `name`.

        Raises:
            StoreError: If there is no such plain file, or it is too large or not UTF-8 text.
        """
        _check_name(name)
        with _refusals("The file could not be read."):
            # Looked at before it is opened, because opening a device can already have an effect.
            _check_readable(self._status(name))
            # The entry may have been swapped since: O_NOFOLLOW refuses a link, O_NONBLOCK keeps
            # a FIFO from hanging us, and the descriptor is checked again before a byte is read.
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | _NO_FOLLOW
            descriptor = os.open(name, flags, dir_fd=self._root)
            try:
                _check_readable(os.fstat(descriptor))
                data = _read_bounded(descriptor)
            finally:
                os.close(descriptor)
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            raise StoreError("The file is not UTF-8 text.") from None

    def files(self) -> list[StoredFile]:
        """Return the plain files of the folder by name; anything else in it does not exist here."""
        with _refusals("The files could not be listed."):
            return sorted(self._plain_files(), key=lambda file: file.name)[:MAX_FILES]

    def _plain_files(self) -> Iterator[StoredFile]:
        with os.scandir(self._root) as entries:
            for entry in entries:
                if not _is_name(entry.name):
                    continue
                status = self._status(entry.name)
                if status and _is_plain(status):
                    yield StoredFile(entry.name, status.st_size, status.st_mtime)

    def _status(self, name: str) -> os.stat_result | None:
        try:
            return os.stat(name, dir_fd=self._root, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def _check_room(self, name: str) -> None:
        status = self._status(name)
        if status is not None:
            if not _is_plain(status):
                raise StoreError("The file name is taken.")
            return
        # Everything counts, also what is not ours: the limit protects the disk, not the listing.
        with os.scandir(self._root) as entries:
            if sum(1 for _ in entries) >= MAX_FILES:
                raise StoreError("The store is full.")

    def _write_temporary(self, data: bytes) -> str:
        # No caller can spell this name, since it starts with a dot; O_EXCL makes sure it is new.
        name = _TEMP_PREFIX + secrets.token_hex(8)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW
        descriptor = os.open(name, flags, 0o600, dir_fd=self._root)
        try:
            _write_all(descriptor, data)
            os.fsync(descriptor)
        except OSError:
            os.unlink(name, dir_fd=self._root)
            raise
        finally:
            os.close(descriptor)
        return name

    def _remove_leftovers(self) -> None:
        # Left by a process that was killed while it wrote. Young ones may be another's at work.
        oldest = time.time() - _TEMP_MAX_AGE_SECONDS
        with _refusals("The store could not be tidied."), os.scandir(self._root) as entries:
            for entry in entries:
                if not entry.name.startswith(_TEMP_PREFIX):
                    continue
                with suppress(FileNotFoundError):
                    if entry.stat(follow_symlinks=False).st_mtime < oldest:
                        os.unlink(entry.name, dir_fd=self._root)


@contextmanager
def _refusals(message: str) -> Iterator[None]:
    """Turn the system's errors, which hold paths, into one that does not."""
    try:
        yield
    except OSError:
        raise StoreError(message) from None


def _is_name(name: str) -> bool:
    # fullmatch, because `$` would also match before a final newline.
    if len(name) > MAX_NAME_CHARS or not _NAME.fullmatch(name):
        return False
    # Harmless here, but a Windows host drops a final dot, and then two names mean one file.
    if ".." in name or name.endswith("."):
        return False
    return name.partition(".")[0].lower() not in _RESERVED


def _check_name(name: str) -> None:
    if not _is_name(name):
        raise StoreError("The file name is not allowed.")


def _encode(content: str) -> bytes:
    if len(content) > MAX_CONTENT_CHARS:
        raise StoreError("The content is too large.")
    try:
        return content.encode("utf-8")
    except UnicodeEncodeError:
        raise StoreError("The content is not valid text.") from None


def _is_plain(status: os.stat_result) -> bool:
    """Tell a file from links, pipes, sockets and devices, and from one with a second name."""
    return stat.S_ISREG(status.st_mode) and status.st_nlink == 1


def _check_readable(status: os.stat_result | None) -> None:
    # The same words in both cases: what else lies in the folder is nobody's business.
    if status is None or not _is_plain(status):
        raise StoreError("There is no such file.")


def _read_bounded(descriptor: int) -> bytes:
    # The size in the file's status is not asked: the file may grow while it is read.
    data = bytearray()
    while chunk := os.read(descriptor, MAX_FILE_BYTES + 1 - len(data)):
        data += chunk
        if len(data) > MAX_FILE_BYTES:
            raise StoreError("The file is too large.")
    return bytes(data)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _open_folder(folder: str) -> int:
    with _refusals("The data folder cannot be opened."):
        with suppress(FileExistsError):
            Path(folder).mkdir(0o700)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | _NO_FOLLOW)
    status = os.fstat(descriptor)
    # In a shared /tmp another user may have put the folder there first, and own what is in it.
    if status.st_uid not in (os.geteuid(), 0) or status.st_mode & stat.S_IWOTH:
        os.close(descriptor)
        raise StoreError("The data folder belongs to somebody else or anyone may write to it.")
    return descriptor
