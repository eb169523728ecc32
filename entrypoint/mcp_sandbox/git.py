"""How git is asked about a checkout whose author may have written its configuration.

Only commands that run no program of the repository's choice may be called under this environment:
no hook, no filter, no text conversion, no file system monitor. Nothing is fetched, and the
machine's configuration is not read.
"""

from __future__ import annotations

import re
from pathlib import Path

_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def is_id(text: str) -> bool:
    """Whether ``text`` is a whole commit id."""
    return _ID.fullmatch(text) is not None


def environment(work: Path, root: Path, protocol: str = "none") -> dict[str, str]:
    """What keeps git to itself; ``protocol`` is all it may use. Writes a file in ``work``.

    A checkout that another user owns is read all the same: that is said in a configuration of our
    own (git takes it from a file, not from the environment, in the process that serves a clone).
    """
    config = work / "gitconfig"
    quoted = str(root).replace("\\", "\\\\").replace('"', '\\"')
    config.write_text(
        f'[safe]\n\tdirectory = "{quoted}"\n\tdirectory = "{quoted}/.git"\n',
        encoding="utf-8",
        errors="surrogateescape",
    )
    return {
        "GIT_ALLOW_PROTOCOL": protocol,
        "GIT_CONFIG_GLOBAL": str(config),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
    }
