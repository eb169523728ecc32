"""Unpack a bundle (a zip) that a stranger made: bounded, no links, nothing outside of its folder.

The sizes that a zip declares are not believed: what is written is counted. Its directory is bounded
before it is read, because Python keeps all of it in memory.
"""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

from mcp_sandbox.errors import SourceUnusable

MAX_FILE = 256 * 2**20
"""Bytes of the zip itself."""
MAX_BYTES = 480 * 2**20
"""Bytes of all that is in it: less than a build may be sent."""
MAX_ENTRIES = 40_000
MAX_DIRECTORY = 6 * 2**20
MAX_RATIO = 200
"""How much larger than the zip its content may be, beyond ``FREE`` bytes."""
FREE = 32 * 2**20
MAX_PATH = 1_000

_END = b"PK\x05\x06"
_END_64 = b"PK\x06\x07"
_END_SIZE = 22
_TAIL = _END_SIZE + 2**16
_LOCATOR = 20
_CHUNK = 256 * 2**10
_NEXT = "Pack it again, for example with the packer of its format."


def unpack(file: Path, folder: Path) -> None:
    """Write the content of ``file`` below ``folder``, which is made.

    Raises ``SourceUnusable``.
    """
    try:
        with file.open("rb") as stream:
            size = file.stat().st_size
            if not stat.S_ISREG(file.stat().st_mode):
                raise _wrong(file, "is no regular file")
            if size > MAX_FILE:
                raise _wrong(file, f"is larger than {MAX_FILE // 2**20} MiB")
            _check_end(file, stream, size)
            with zipfile.ZipFile(stream) as archive:
                _write(file, archive, folder, min(MAX_BYTES, max(FREE, size * MAX_RATIO)))
    except FileNotFoundError as error:
        raise SourceUnusable(
            f"There is no bundle {str(file)!r}.", next_step="Check the path after `mcpb:`."
        ) from error
    except OSError as error:
        raise _wrong(file, f"cannot be unpacked ({error.strerror or error})") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, ValueError) as error:
        raise _wrong(file, "is no zip, or a damaged one") from error
    except (NotImplementedError, RuntimeError) as error:
        raise _wrong(file, "is encrypted, or packed in a way that is not known") from error


def small(path: Path, most: int) -> bytes | None:
    """A regular file of what was unpacked; ``None`` for none, and for one with more bytes."""
    if not path.is_file() or path.stat().st_size > most:
        return None
    return path.read_bytes()


def _wrong(file: Path, what: str) -> SourceUnusable:
    return SourceUnusable(f"The bundle {file.name!r} {what}.", next_step=_NEXT)


def _check_end(file: Path, stream: BinaryIO, size: int) -> None:
    """Bound the directory, where Python will look for it."""
    stream.seek(max(0, size - _TAIL - _LOCATOR))
    tail = stream.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_SIZE:
        raise _wrong(file, "is no zip, or a damaged one")
    directory = struct.unpack("<L", tail[at + 12 : at + 16])[0]
    if directory > MAX_DIRECTORY or _END_64 in tail[max(0, at - _LOCATOR) : at]:
        raise _wrong(file, "has more entries than a bundle may have")
    stream.seek(0)


def _write(file: Path, archive: zipfile.ZipFile, folder: Path, room: int) -> None:
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise _wrong(file, f"has more than {MAX_ENTRIES} entries")
    folder.mkdir()
    seen: set[str] = set()
    for entry in entries:
        name = entry.orig_filename.rstrip("/")
        _check_name(file, name)
        mode = entry.external_attr >> 16
        if stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
            raise _wrong(file, f"holds {name[:100]!r}, which is neither file nor folder")
        if name in seen and not entry.is_dir():
            raise _wrong(file, f"holds {name[:100]!r} twice")
        seen.add(name)
        path = folder / name
        if entry.is_dir():
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as packed, path.open("xb") as plain:
            while chunk := packed.read(_CHUNK):
                room -= len(chunk)
                if room < 0:
                    raise _wrong(file, "holds far more than its size suggests")
                plain.write(chunk)
        path.chmod(0o755 if mode & 0o111 else 0o644)


def _check_name(file: Path, name: str) -> None:
    parts = name.split("/")
    if (
        not name
        or len(name) > MAX_PATH
        or not name.isprintable()
        or "\\" in name
        or {"", ".", ".."} & set(parts)
        or ":" in parts[0]
    ):
        raise _wrong(file, f"holds {name[:100]!r}, which is no path inside it")
