"""The blocks of ``docs/baseline.md`` that show what runs print, held against the runs themselves.

A block stands between ``<!-- shown: NAME -->`` and ``<!-- until here -->``. With
``MCP_SANDBOX_RECORD=1`` in the environment the document is written anew instead of compared.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping

from mcp_sandbox.model.locked import LOCK_FILE
from support.drift_life import Told
from support.on_engine import ROOT

DOCUMENT = ROOT / "docs" / "baseline.md"
RECORD = "MCP_SANDBOX_RECORD"

_BLOCK = re.compile(
    r"<!-- shown: ([a-z -]+) -->\n+```(\w*)\n(.*?)\n```\n+<!-- until here -->", re.DOTALL
)


def shown() -> dict[str, str]:
    """Name -> text of every block of the document."""
    return {match[1]: match[3] for match in _BLOCK.finditer(DOCUMENT.read_text())}


def check(blocks: Mapping[str, str]) -> None:
    """Hold the document's blocks of these names against their texts, or write them into it."""
    document = DOCUMENT.read_text()
    if os.environ.get(RECORD) != "1":
        assert {name: text for name, text in shown().items() if name in blocks} == dict(blocks)
        return

    def put(match: re.Match[str]) -> str:
        text = blocks.get(match[1], match[3])
        return f"<!-- shown: {match[1]} -->\n\n```{match[2]}\n{text}\n```\n\n<!-- until here -->"

    DOCUMENT.write_text(_BLOCK.sub(put, document))


# --- what is shown of a run -----------------------------------------------------------------------


def _steady(text: str) -> str:
    """Without what differs between two runs, or two machines, of the same repository."""
    text = re.sub(r"\bcommit [0-9a-f]{12,}", "commit …", text)
    text = re.sub(r"known after [0-9.]+ s\b", "known after … s", text)
    # What a base image sets in its environment has lines there too.
    text = re.sub(rf"({re.escape(LOCK_FILE)}):[0-9]+", r"\1:…", text)
    return re.sub(r"(evidence/[^ :]+):[0-9]+", r"\1", text)


def answer(told: Told) -> str:
    """The action's answer, as it stands in the step's log."""
    lines = told.printed.splitlines()
    starts = [n for n, line in enumerate(lines) if re.match(r"(PASS|FAIL|INCONCLUSIVE)\b", line)]
    assert len(starts) == 1, told.printed
    rest = lines[starts[0] :]
    end = next(n for n, line in enumerate(rest) if line.startswith("::"))
    return _steady("\n".join(rest[:end]))


def annotations(told: Told) -> str:
    """The annotations as the runner reads them, each with its place."""
    return _steady(
        "\n".join(
            f"{one.name}: {one.properties.get('file', '')}:{one.properties.get('line', '')}"
            f"\n  {one.data}"
            for one in told.annotations
        )
    )


def request(told: Told) -> str:
    """The answer, and the annotation on the line that sends it."""
    first = annotations(told).split("\n")[:2]
    return "\n".join([answer(told), "", *first])


def tool(told: Told) -> str:
    """A tool that does something, as the lock file that a run proposes has it."""
    found = json.loads((told.out / LOCK_FILE).read_bytes())
    (subject,) = [one for one in found["behaviour"] if one.startswith("tools/")]
    part = {name: {subject: found[name][subject]} for name in ("behaviour", "items")}
    return json.dumps(part, indent=2, ensure_ascii=True)
