"""The files that a run leaves for others to read: report, SARIF, summary."""

from __future__ import annotations

import re
from functools import cache

from mcp_sandbox import __version__, locate, scanned
from mcp_sandbox.model import ScannerRule, Verdict
from mcp_sandbox.model.answer import Report
from mcp_sandbox.pipeline.judging import rule_infos
from mcp_sandbox.pipeline.results import COMPLETE_SARIF, REPORT, SARIF, SUMMARY, Results
from mcp_sandbox.report import json as report_json
from mcp_sandbox.report import markdown, sarif
from mcp_sandbox.scanners import dockerfile, dockerfile_rules, semgrep
from mcp_sandbox.settings import Settings
from mcp_sandbox.sources import names as source_names

_ID = re.compile(r"(?:sha256:)?[0-9a-f]{12,64}")


def write(
    results: Results,
    report: Report,
    settings: Settings,
    *,
    answered: bool = True,
    locked: bool = False,
) -> None:
    """Write what there is to tell; ``answered``: the server did, at least once.

    ``locked``: a lock file of what was seen is written too, so that the summary may speak of it.
    Raises ``OutputFailed``.
    """
    known = rule_infos()
    results.write(REPORT, report_json.dump(report))
    if answered and report.verdict is not Verdict.ERROR:
        root = locate.root(settings.context) if settings.context else None
        for name, complete in ((SARIF, False), (COMPLETE_SARIF, True)):
            made = sarif.render(
                report,
                known,
                category=category(settings),
                tool_version=__version__,
                read=(lambda path: locate.read(root, path)) if root else None,
                scanner_rules=scanner_rules(),
                complete=complete,
            )
            results.write(name, made.data)
    else:
        # No SARIF for a run that broke off: an empty one would close the alerts of the last.
        results.remove(SARIF)
        results.remove(COMPLETE_SARIF)
    results.write(SUMMARY, markdown.render(report, known, locked=locked).encode())


def category(settings: Settings) -> str:
    """What tells the alerts of this server from those of others of one commit.

    The folder within its repository, the repository's name for a server at its root, an image's
    name without tag and digest (``image`` for one with an id only): equal from commit to commit.
    """
    if settings.source is not None:
        return f"mcp-sandbox/{source_names.parse(settings.source).told}"
    if settings.context is None:
        name = (settings.image or "").partition("@")[0]
        if not name or _ID.fullmatch(name):
            return "mcp-sandbox/image"
        folder, slash, last = name.rpartition("/")
        return f"mcp-sandbox/{folder}{slash}{last.partition(':')[0]}"
    root = locate.root(settings.context)
    folder = settings.context.resolve().relative_to(root).as_posix()
    return f"mcp-sandbox/{folder if folder != '.' else settings.repository or root.name}"


@cache
def scanner_rules() -> dict[str, tuple[ScannerRule, ...]]:
    """Scanner -> all the rules it looks with, where there is a list of them."""
    source = tuple(
        ScannerRule(
            rule.id,
            rule.title,
            rule.fix,
            scanned.severity_class(semgrep.NAME, rule.severity),
            rule.cwe,
        )
        for rule in semgrep.catalogue()
    )
    building = tuple(
        ScannerRule(
            rule.id,
            rule.title,
            rule.fix,
            scanned.severity_class(dockerfile.NAME, rule.severity),
            rule.cwe,
        )
        for rule in dockerfile_rules.RULES
    )
    return {semgrep.NAME: source, dockerfile.NAME: building}
