"""The seccomp profile of a server: the engine's own, less what would hide from the tracer.

Made of the list that Debian packages for container engines
(``golang-github-containers-common``), which is kept up with the kernel. That list is wider than
the Docker engine's own default: it leaves mounts, namespaces and keys to the capabilities that a
container may or may not have. ``WITHHELD`` are the calls that Docker's default refuses a container
without capabilities (its documentation has the table and the reasons).

On top of that, what would blind the tracer is refused: a clone that is not to be traced, a process
that hides its memory, system calls handed to the kernel in a ring, and limits set for the tracer.
"""

from __future__ import annotations

import json
from typing import Any

from mcp_sandbox.errors import EngineFailed

ALLOW = "SCMP_ACT_ALLOW"
REFUSE = "SCMP_ACT_ERRNO"
_EPERM = 1
_ENOSYS = 38

WITHHELD = frozenset(
    {"fsconfig", "fsmount", "fsopen", "fspick", "get_mempolicy"}
    | {"keyctl", "mbind", "mount", "mount_setattr", "move_mount"}
    | {"name_to_handle_at", "open_by_handle_at", "open_tree", "pidfd_getfd", "pivot_root"}
    | {"reboot", "set_mempolicy", "setns", "signal", "syslog"}
    | {"umount", "umount2", "unshare"}
)
_OURS = frozenset({"clone", "clone3", "prctl", "prlimit64", "socket"})
"""Calls whose rules stand below."""

NAMESPACES = 0x7E020000
"""The flags of ``clone`` for new namespaces (``CLONE_NEW*``), as in Docker's default."""
UNTRACED = 0x00800000
"""``CLONE_UNTRACED``."""
SET_DUMPABLE = 4
"""``PR_SET_DUMPABLE``."""
TRACER = 1
"""The tracer's process id. Whoever has its user may set its limits (``prlimit``)."""
FAMILIES = 38
"""``AF_ALG``: it and the families after it (``AF_VSOCK`` among them) reach the host's kernel or its
hypervisor; newer engines refuse both."""
RINGS = ("io_uring_enter", "io_uring_register", "io_uring_setup")


def profile(packaged: bytes) -> str:
    """The profile (JSON, as ``--security-opt seccomp=`` takes it) made of the packaged one.

    Raises ``EngineFailed`` when that is no such profile.
    """
    try:
        document = json.loads(packaged)
        rules = [one for rule in document["syscalls"] if (one := _kept(rule))]
        architectures = document["archMap"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineFailed("The seccomp profile of the helper image cannot be read.") from error
    return json.dumps(
        {
            "defaultAction": REFUSE,
            "defaultErrnoRet": _EPERM,
            "archMap": architectures,
            "syscalls": [*rules, *_own_rules()],
        }
    )


def _kept(rule: dict[str, Any]) -> dict[str, Any] | None:
    """A rule as it applies without any capability; ``None`` for one that does not.

    Of the refusals none is needed: what is not allowed is refused.
    """
    if rule["action"] != ALLOW or (rule.get("includes") or {}).get("caps"):
        return None
    names = sorted({str(name) for name in rule["names"]} - WITHHELD - _OURS - set(RINGS))
    if not names:
        return None
    kept: dict[str, Any] = {"names": names, "action": ALLOW, "args": rule.get("args") or []}
    if arches := (rule.get("includes") or {}).get("arches"):
        kept["includes"] = {"arches": arches}
    return kept


def _own_rules() -> list[dict[str, Any]]:
    def masked(mask: int, value: int) -> dict[str, Any]:
        return {"index": 0, "value": mask, "valueTwo": value, "op": "SCMP_CMP_MASKED_EQ"}

    def allowed(name: str, condition: dict[str, Any]) -> dict[str, Any]:
        return {"names": [name], "action": ALLOW, "args": [condition]}

    def other_than(name: str, value: int) -> list[dict[str, Any]]:
        """The first argument is another ``int``: some bit of it differs.

        The kernel looks at its lower half only, so a plain comparison would not do.
        """
        bits = [1 << number for number in range(32)]
        return [allowed(name, masked(bit, ~value & bit)) for bit in bits]

    return [
        allowed("clone", masked(NAMESPACES | UNTRACED, 0)),
        {"names": ["clone3"], "action": REFUSE, "errnoRet": _ENOSYS},
        {"names": list(RINGS), "action": REFUSE, "errnoRet": _ENOSYS},
        allowed("socket", {"index": 0, "value": FAMILIES, "op": "SCMP_CMP_LT"}),
        *other_than("prctl", SET_DUMPABLE),
        *other_than("prlimit64", TRACER),
    ]
