"""Runs scans, a few at a time, those of every mode of a family too, and reads their reports."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp_sandbox.model import Act, CallStatus, Tracing
from mcp_sandbox.probe.plan import VALID
from mcp_sandbox.sandbox import Engine
from support.front_door import QUICK, Done, Door
from support.on_engine import labelled, remove_bundle

AT_ONCE = 2
PATIENCE = 300.0
"""Seconds; only a broken test waits this long."""
OPTIONS = (*QUICK, "--max-calls", "500")
"""Of every scan; enough for the likeliest inputs of each family to reach every tool."""


@dataclass(frozen=True)
class Scanner:
    """Runs the command on images of one engine."""

    engine: Engine
    docker_host: str | None
    helper_image: str

    def modes(self, image: str, wanted: dict[str, dict[str, Any]], folder: Path) -> dict[str, Done]:
        """Scan modes with their own ``options`` and ``arguments``."""
        words = {
            mode: [
                *expect.get("options", []),
                *("--image", image, "--", mode),
                *expect.get("arguments", []),
            ]
            for mode, expect in wanted.items()
        }
        return self.scans(words, folder, OPTIONS)

    def scans(
        self, wanted: Mapping[str, Sequence[object]], folder: Path, options: Sequence[str] = QUICK
    ) -> dict[str, Done]:
        """Name -> the words of a scan: each in a folder of its own, with ``options`` before."""

        def scan(name: str, words: Sequence[object]) -> Done:
            return self.run(folder / name, ["scan"], [*options, *words])

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return dict(zip(wanted, pool.map(scan, wanted, wanted.values()), strict=True))

    def run(self, folder: Path, command: Sequence[object], words: Sequence[object]) -> Done:
        """Run a command in a new folder; nothing may be left of it but our own volume."""
        folder.mkdir()
        door = Door(folder, self.docker_host)
        try:
            running = door.start(*command, "--helper-image", self.helper_image, *words)
            done = running.end(within=PATIENCE)
        finally:
            door.close()
        remove_bundle(self.engine, self.helper_image, door.label)  # which stays for the next run
        assert labelled(self.engine, door.label) == [], folder.name
        assert door.left_here() == [], folder.name
        return done


def reported(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The findings that count: above a note, and not suppressed."""
    return [
        one for one in report["findings"] if one["class"] != "note" and not one.get("suppressed")
    ]


def found(report: dict[str, Any], subject: str, rules: str) -> list[dict[str, Any]]:
    """Findings of a subject (``*`` is any) by one of the rules (``a|b``).

    A finding of the whole server is one of a tool's as well when a call of that tool shows it.
    """
    return [
        one
        for one in reported(report)
        if one["rule"] in rules.split("|") and subject in {"*", *_subjects(one)}
    ]


def _subjects(finding: dict[str, Any]) -> set[str]:
    sent = [json.loads(line) for line in finding["reproducer"]]
    called = {f"tools/{one['params']['name']}" for one in sent if one["method"] == "tools/call"}
    return {finding["subject"].partition("#")[0], *called}


TRACED = frozenset({Tracing.INSIDE, Tracing.OUTSIDE})


def unseen(
    report: dict[str, Any], tool: str, path: str, tracing: Collection[Tracing] = TRACED
) -> list[str]:
    """Ordinary calls of a tool, so traced and answered, in which no opening of a file shows."""
    traced = [
        session
        for session in report["observations"]["sessions"]
        if session["container"]["tracing"] in tracing
    ]
    calls = [
        (session, call)
        for session in traced
        for call in session["transcript"]["calls"]
        if (call["target"], call["family"], call["status"]) == (tool, VALID, CallStatus.RESULT)
    ]
    return [
        f"call {call['number']} of {session['evidence']}: {path}"
        for session, call in calls
        if not any(_opens(event, call["number"], path) for event in session["container"]["kernel"])
    ] or ([] if calls else ["no traced call was answered"])


def _opens(event: dict[str, Any], number: int, path: str) -> bool:
    seen = event["act"], event["object"], event["result"], event["call"]
    return seen == (Act.OPEN, path, "ok", number)


def missing(report: dict[str, Any], must: dict[str, Iterable[str]]) -> list[str]:
    """What ought to be reported and is not, as ``SUBJECT: RULE``."""
    return [
        f"{subject}: {rules}"
        for subject, wanted in must.items()
        for rules in wanted
        if not found(report, subject, rules)
    ]


def shown(report: dict[str, Any]) -> str:
    """The report in short, for the message of a failed test."""
    lines = [f"{report['verdict']}: {report['error']} {report['coverage']['missing']}"]
    lines += [
        f"{one['class']} {one['evidence']} {one['rule']} {one['subject']}: {one['message']}"
        for one in report["findings"]
    ]
    return "\n".join(line[:300] for line in lines)
