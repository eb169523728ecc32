"""System calls that Python has no name for, by their numbers on x86_64 and arm64."""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import struct

_NUMBERS = {
    "x86_64": {"ptrace": 101, "mount": 165, "unshare": 272, "clone": 56},
    "aarch64": {"ptrace": 117, "mount": 40, "unshare": 97, "clone": 220},
}
_EVERYWHERE = {"io_uring_setup": 425, "io_uring_enter": 426}

CLONE_UNTRACED = 0x00800000
CLONE_NEWUSER = 0x10000000
PR_SET_DUMPABLE = 4
PTRACE_ATTACH = 16
PTRACE_SEIZE = 0x4206
SIGCHLD = 17

_OPENAT = 18
_AT_FDCWD = -100
_CQ_RING, _SQES = 0x8000000, 0x10000000
_WAIT = 1

libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: int | bytes | None) -> int:
    """Make a system call; its result.

    Raises ``OSError`` with the kernel's refusal.
    """
    number = (_NUMBERS[platform.machine()] | _EVERYWHERE)[name]
    given = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    return _checked(libc.syscall(ctypes.c_long(number), *given))


def prctl(option: int, value: int) -> int:
    """``prctl`` with one argument. Raises ``OSError``."""
    return _checked(libc.prctl(option, *map(ctypes.c_ulong, (value, 0, 0, 0))))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def open_by_ring(path: str) -> int:
    """Open a file for reading by io_uring: the system call ``open`` is never made.

    Raises ``OSError``. The layouts are those of ``linux/io_uring.h``.
    """
    parameters = ctypes.create_string_buffer(120)
    ring = call("io_uring_setup", 1, ctypes.addressof(parameters))
    try:
        entries, finished = struct.unpack_from("2I", parameters, 0)
        _, tail, _, _, _, _, array = struct.unpack_from("7I", parameters, 40)
        cqes = struct.unpack_from("6I", parameters, 80)[5]
        name = ctypes.create_string_buffer(os.fsencode(path))
        flags = os.O_RDONLY | os.O_CLOEXEC
        where = ctypes.addressof(name)
        with (
            mmap.mmap(ring, array + 4 * entries) as submitted,
            mmap.mmap(ring, 64 * entries, offset=_SQES) as asked,
            mmap.mmap(ring, cqes + 16 * finished, offset=_CQ_RING) as answered,
        ):
            asked[0:64] = struct.pack(
                "<BBHiQQIIQ24x", _OPENAT, 0, 0, _AT_FDCWD, 0, where, 0, flags, 1
            )
            submitted[array : array + 4] = struct.pack("I", 0)
            submitted[tail : tail + 4] = struct.pack("I", 1)
            call("io_uring_enter", ring, 1, 1, _WAIT, None, 0)
            result: int = struct.unpack_from("<i", answered, cqes + 8)[0]
    finally:
        os.close(ring)
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result
