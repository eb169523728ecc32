"""Which files are a program's own, and which the scanner's or the machine's: no behaviour to lock.

What is common is learned from the server itself: a folder that code was loaded from at start-up is
a folder of its program.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable

from mcp_sandbox.model import Act, KernelEvent, Window

OURS = "/.mcp-sandbox/"
"""Where the tracer's files are mounted in a server's container."""
OK = "ok"
REFUSED = frozenset({"EROFS", "EACCES", "EPERM"})
"""Results of what would have been done, had the sandbox let it."""

_TEMPORARY = re.compile(r"/(?:tmp|dev/shm|var/tmp)(?:/|$)")
_DEVICES = re.compile(
    r"/dev/(?:null|zero|full|u?random|tty|ptmx|pts(?:/.*)?|fd(?:/.*)?|std(?:in|out|err))"
)
_CACHES = re.compile(r"/__pycache__(?:/|$)|\.pyc(?:\.[0-9]+)?$")
_SYSTEM = re.compile(
    r"/(?:usr|lib|lib32|lib64|libx32|libexec|bin|sbin|nix/store|sys|dev)(?:/|$)"
    r"|/etc/(?:ssl|pki|ca-certificates|terminfo|fonts|alternatives|python3[^/]*|locale[^/]*)(?:/|$)"
    r"|/etc/(?:ld\.so\.[^/]*|ld-musl-[^/]*|hosts|host\.conf|resolv\.conf|nsswitch\.conf|gai\.conf"
    r"|services|protocols|networks|localtime|timezone|mime\.types|magic|os-release|lsb-release"
    r"|debian_version|alpine-release|inputrc|machine-id)$"
    r"|/var/lib/(?:ca-certificates|locales)(?:/|$)"
)
_PACKAGES = re.compile(r"/(?:site-packages|dist-packages|node_modules)(?:/|$)|/pyvenv\.cfg$")
_CODE = re.compile(r"\.(?:py|pyc|pyi|js|mjs|cjs|jar|class|rb|node|so(?:\.[0-9.]+)?)$")
_MAX_LEVELS = 64
_PROC = re.compile(r"/proc/(?:([0-9]+|self|thread-self)/(?:task/[0-9]+/)?)?(.*)")
_OWN_PROC = re.compile(r"/proc/(?:self|thread-self)(?:/|$)")
_HIDDEN = re.compile(r"/\.[^/.]")


def is_temporary(path: str) -> bool:
    """In a folder that is empty when the container starts and that everybody may write to."""
    return bool(_TEMPORARY.match(path))


class Places:
    """The folders of one server's programs."""

    def __init__(self, working_dir: str, events: Iterable[KernelEvent]) -> None:
        """``events``: what the kernel recorded; start-up and listing teach."""
        self._working = posixpath.normpath(working_dir) if working_dir.startswith("/") else "/"
        folders: set[str] = set()
        self._programs: set[str] = set()
        for event in events:
            if event.result != OK or not event.object.startswith("/"):
                continue
            if event.act is Act.EXEC:
                self._programs |= {event.object, posixpath.dirname(event.object)}
            elif (
                event.act is Act.OPEN
                and event.window in {Window.START, Window.LISTING}
                and _CODE.search(event.object)
            ):
                folders.add(posixpath.dirname(event.object))
        self._folders = folders - {"/"}

    def is_write(self, path: str) -> bool:
        """Changing it is behaviour: not in a temporary folder, a cache of byte code, a device."""
        if not path.startswith("/") or path.startswith(OURS) or is_temporary(path):
            return False
        if _DEVICES.fullmatch(path) or _CACHES.search(path):
            return False
        match = _PROC.match(path)
        return match is None or not match[1]

    def is_read(self, path: str, asked: str) -> bool:
        """Opening it is behaviour: no program, library, locale, device, fact of the machine.

        ``asked``: the path as it was asked for, where that differs.
        """
        if not path.startswith("/") or path.startswith(OURS) or is_temporary(path):
            return False
        if path in {"/", self._working} or path in self._programs:
            return False
        if _SYSTEM.match(path) or _PACKAGES.search(path) or _CACHES.search(path):
            return False
        if path == "/proc":
            return False
        if match := _PROC.match(path):
            of_process = match[1] and match[1].isdecimal()
            return bool(of_process) and not _OWN_PROC.search(asked)
        return bool(_HIDDEN.search(path)) or not self._of_program(path)

    def _of_program(self, path: str) -> bool:
        if self._working != "/" and path.startswith(f"{self._working}/"):
            return True
        parts = path.split("/")[:_MAX_LEVELS]
        return any("/".join(parts[:end]) in self._folders for end in range(len(parts), 1, -1))
