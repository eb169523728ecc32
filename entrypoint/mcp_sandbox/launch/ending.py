"""Why a server ended before it answered, as its own words tell.

The text is a peer's, bounded by ``needs.readable``.
"""

from __future__ import annotations

from collections.abc import Sequence

from mcp_sandbox.launch import fatal, symptoms
from mcp_sandbox.launch.seen import Failure, Seen
from mcp_sandbox.model import SessionEnd
from mcp_sandbox.model.launch import Needed, StartReason

QUOTED = 200
"""Characters of what a server says that stand in a sentence of ours."""
_MEND = {
    "": "Mend the image: a package is missing, too new or too old, or made for another system; "
    "the last lines name it.",
    "pypi": "A package that it depends on is missing, too new or too old; the last lines name it. "
    "Hold one back with --constraint, as in `--constraint 'mcp<2'`, or add one of Debian's with "
    "--system-packages.",
    "npm": "A package that it depends on is missing, too new or too old, or was to be built when "
    "it was installed; the last lines name it. Hold one back with --constraint, or let packages "
    "run their scripts with --install-scripts.",
}
"""What the image was made of -> the way out of a crash at import."""
_BUILT = {
    "": "Let packages run their scripts when the image installs them, or build that part in it.",
    "npm": "Let packages run their scripts with --install-scripts; what they need to be built or "
    "loaded comes with --system-packages.",
}
"""The same for a compiled part that is missing."""


def ended(seen: Seen, text: str, _: Sequence[Needed] = ()) -> Failure | None:
    """What a server says that has ended: first the error that ended it, then all but warnings."""
    if seen.end is not SessionEnd.EXITED:
        return None
    lines = text.splitlines()
    for part in (fatal.error(lines), fatal.without_warnings(lines)):
        if found := _said(seen, "\n".join(part)):
            return found
    if seen.exit_code and (seen.hosts or seen.services) and not text.strip():
        return without_network(seen, "ended when the network did not answer as it wants")
    return None


def _said(seen: Seen, text: str) -> Failure | None:
    """The reason that the words of a server that has ended give."""
    if symptoms.IMPORT.search(text):
        return _import(seen, text)
    lines = [line for line in text.splitlines() if symptoms.FOLDER.search(line)]
    if lines:
        path = next((match[1] for line in lines if (match := symptoms.ABSOLUTE.search(line))), "")
        return Failure(
            StartReason.NEEDS_WRITABLE_FOLDER,
            "The server wants to write where it may not" + (f": {path}" if path else ""),
            "Have it write to /tmp or declare the folder as a VOLUME in its Dockerfile, which "
            "gives it an empty one in memory.",
        )
    if symptoms.NETWORK.search(text):
        return without_network(seen, "ended when the network did not answer as it wants")
    return None


def _import(seen: Seen, text: str) -> Failure:
    crashed = f"The server crashed while it loaded its own code, with code {seen.exit_code}"
    if native := symptoms.NATIVE.search(text):
        return Failure(
            StartReason.CRASHED_AT_IMPORT,
            f"{crashed}: it lacks a part that is built when it is installed "
            f"({native[0].strip()[:QUOTED]})",
            _BUILT.get(seen.source, _BUILT[""]),
        )
    return Failure(StartReason.CRASHED_AT_IMPORT, crashed, _MEND.get(seen.source, _MEND[""]))


def without_network(seen: Seen, did: str) -> Failure:
    """The failure of a server that the network did not answer. ``did``: what it did then."""
    hosts = ", ".join((*seen.hosts, *seen.services)[:3])
    return Failure(
        StartReason.NEEDS_NETWORK,
        f"The server {did}" + (f"; it asked for {hosts}" if hosts else ""),
        "Have it start without the network; or let it out with --allow HOST:PORT where that is "
        "acceptable, or give what it looks for as a sidecar (docs/launch.md).",
    )
