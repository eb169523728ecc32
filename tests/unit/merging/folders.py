"""Report folders as a scan leaves them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from mcp_sandbox.merging import places
from mcp_sandbox.merging.files import Folder
from mcp_sandbox.merging.join import join
from mcp_sandbox.model import Verdict
from mcp_sandbox.model.answer import Report
from mcp_sandbox.model.fleet import Merged
from mcp_sandbox.report import json as report_json
from mcp_sandbox.report import sarif
from unit.report_samples import RULES, finding, sample_report

PASSED = replace(sample_report(), verdict=Verdict.PASS, score=97.0, findings=(), drift=None)
DRIFTED = replace(
    sample_report(), findings=(), drift=(finding(subject="tools/new", message="New words."),)
)


def put(folder: Path, report: Report = PASSED, *, alerts: bool = True) -> Path:
    """One report folder."""
    folder.mkdir(parents=True)
    (folder / "report.json").write_bytes(report_json.dump(report))
    if alerts:
        made = sarif.render(report, RULES, category="mcp-sandbox/image", tool_version="1.0.0")
        (folder / "results.sarif").write_bytes(made.data)
    return folder


def merge(*folders: Path, out: Path, **options: Any) -> Merged:
    """All reports below some folders."""
    return join(places.find(folders), Folder(out), **options)


def logs(out: Path) -> list[dict[str, Any]]:
    """The merged SARIF files, in their order."""
    names = json.loads((out / "merged.json").read_bytes())["sarif"]
    assert {path.name for path in out.glob("*.sarif")} == set(names)
    return [json.loads((out / name).read_bytes()) for name in names]


def servers(out: Path) -> list[dict[str, Any]]:
    """The servers of ``merged.json``."""
    found: list[dict[str, Any]] = json.loads((out / "merged.json").read_bytes())["servers"]
    return found
