"""Trivy's JSON report as issues. Pure, but for the look into the checkout that ``Places`` takes.

The format is Trivy's ``types.Report``, schema version 2. ``Match`` and ``Code`` are never read:
they quote the file. Nor is ``Message`` of a misconfiguration: it may quote a command, with whatever
secret stands in it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from urllib.parse import unquote

from mcp_sandbox.model import Issue, IssueKind, Json
from mcp_sandbox.scanners.job import Stage
from mcp_sandbox.scanners.places import Places, package_name
from mcp_sandbox.scanners.run import (
    MAX_ISSUES,
    ToolFailed,
    number,
    one_line,
    parsed,
    record,
    records,
    text,
)

SCHEMA = 2

_CWE = re.compile(r"CWE-(\d{1,6})$")
_PURL = re.compile(r"pkg:([a-z0-9.+-]+)/")
_OS = "os-pkgs"
_QUIET_LICENCES = frozenset({"low"})
"""``notice``, ``permissive``, ``unencumbered``: they ask for nothing but their own text."""


@dataclass(frozen=True)
class Contents:
    """What a report holds."""

    issues: tuple[Issue, ...]
    details: dict[str, str] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def results(output: bytes) -> list[dict[str, Json]]:
    """The report's results. Raises ``ToolFailed`` for anything that is no report."""
    report = record(parsed("trivy", output))
    if report.get("SchemaVersion") != SCHEMA or "ArtifactType" not in report:
        raise ToolFailed("trivy printed JSON that is not its report of schema version 2.")
    return records(report.get("Results"))


def contents(found: list[dict[str, Json]], stage: Stage, places: Places) -> Contents:
    """Issues in the report's order, at most ``MAX_ISSUES``."""
    issues: list[Issue] = []
    left_out: tuple[str, ...] = ()
    seen: Counter[tuple[str, str]] = Counter()
    for issue in _issues(found, stage, places):
        if len(issues) >= MAX_ISSUES:
            left_out = (f"Trivy: all after the first {MAX_ISSUES} issues",)
            break
        issues.append(_numbered(issue, seen))
    packages = sum(len(records(one.get("Packages"))) for one in found)
    where = "in the image" if stage is Stage.IMAGE else "in lock files"
    return Contents(tuple(issues), {f"packages {where}": str(packages)}, left_out)


def _numbered(issue: Issue, seen: Counter[tuple[str, str]]) -> Issue:
    """Tells several of one rule in one file apart, without the line: that moves."""
    if issue.kind in {IssueKind.VULNERABILITY, IssueKind.LICENCE}:
        return issue
    key = (issue.rule, issue.subject)
    seen[key] += 1
    return issue if seen[key] == 1 else replace(issue, subject=f"{issue.subject} {seen[key]}")


def _issues(found: list[dict[str, Json]], stage: Stage, places: Places) -> Iterator[Issue]:
    for one in found:
        target = text(one.get("Target"))
        lines = _lines(one)
        for entry in records(one.get("Vulnerabilities")):
            yield _vulnerability(entry, one, lines, stage, places)
        for entry in records(one.get("Misconfigurations")):
            if entry.get("Status") == "FAIL":
                yield _misconfiguration(entry, target, stage, places)
        for entry in records(one.get("Secrets")):
            yield _secret(entry, target, stage, places)
        for entry in records(one.get("Licenses")):
            if _severity(entry) not in _QUIET_LICENCES:
                yield _licence(entry, target, lines, stage, places)


def _lines(result: dict[str, Json]) -> dict[str, int]:
    """Where the lock file defines its packages, by their id, their UID and their name."""
    found: dict[str, int] = {}
    for package in records(result.get("Packages")):
        locations = records(package.get("Locations"))
        line = number(locations[0].get("StartLine")) if locations else 0
        uid = record(package.get("Identifier")).get("UID")
        for key in (uid, package.get("ID"), package.get("Name")):
            if line and isinstance(key, str):
                found.setdefault(key, line)
    return found


def _severity(entry: dict[str, Json]) -> str:
    return one_line(entry.get("Severity"), 20).lower() or "unknown"


def _vulnerability(
    entry: dict[str, Json],
    result: dict[str, Json],
    lines: dict[str, int],
    stage: Stage,
    places: Places,
) -> Issue:
    rule = one_line(entry.get("VulnerabilityID"), 100)
    name = one_line(entry.get("PkgName"))
    version = one_line(entry.get("InstalledVersion"), 100)
    fixed = one_line(entry.get("FixedVersion"))
    title = one_line(entry.get("Title")) or f"{rule} in {name}"
    identifier = record(entry.get("PkgIdentifier"))
    if stage is Stage.IMAGE:
        path, line = (
            places.base_image()
            if result.get("Class") == _OS
            else places.package(_ecosystem(identifier), name)
        )
    else:
        keys = (identifier.get("UID"), entry.get("PkgID"), entry.get("PkgName"))
        known = [lines[key] for key in keys if isinstance(key, str) and key in lines]
        path = text(entry.get("PkgPath")) or text(result.get("Target"))
        line = known[0] if known else places.package(_ecosystem(identifier), name)[1] or 1
    what = f"{name} {version}: {title}."
    return Issue(
        rule=rule,
        kind=IssueKind.VULNERABILITY,
        severity=_severity(entry),
        title=title,
        message=text(f"{what} {one_line(entry.get('Description'), 700)}".strip()),
        subject=f"package {package_name(name)} {version}",
        path=path,
        line=line,
        end_line=line,
        fix=f"Update {name} to {fixed}." if fixed else "",
        url=_url(entry.get("PrimaryURL")),
        fixable=bool(fixed),
        cwe=_cwes(entry.get("CweIDs")),
    )


def _ecosystem(identifier: dict[str, Json]) -> str:
    """The type of a package URL (``pkg:TYPE/…``)."""
    match = _PURL.match(unquote(text(identifier.get("PURL"))))
    return match[1] if match else ""


def _misconfiguration(entry: dict[str, Json], target: str, stage: Stage, places: Places) -> Issue:
    cause = record(entry.get("CauseMetadata"))
    title = one_line(entry.get("Title"))
    line = number(cause.get("StartLine")) or 1
    path, subject, end = target, f"file {target}", number(cause.get("EndLine")) or line
    if stage is Stage.IMAGE:
        # Trivy makes a Dockerfile up from the image's history: its lines are nobody's. It shares
        # the subject of the real one, so that what both say is one issue.
        path, line, end = "", 0, 0
        subject = f"file {places.dockerfile}" if places.dockerfile else "image configuration"
    return Issue(
        rule=one_line(entry.get("ID"), 100),
        kind=IssueKind.MISCONFIGURATION,
        severity=_severity(entry),
        title=title,
        message=text(f"{title}. {one_line(entry.get('Description'), 700)}"),
        subject=subject,
        path=path,
        line=line,
        end_line=max(line, end),
        fix=one_line(entry.get("Resolution")),
        url=_url(entry.get("PrimaryURL")),
    )


def _secret(entry: dict[str, Json], target: str, stage: Stage, places: Places) -> Issue:
    title = one_line(entry.get("Title")) or "Secret"
    line = number(entry.get("StartLine")) or 1
    path, subject, where = target, f"file {target}", target
    if stage is Stage.IMAGE:
        path = places.file(target)
        subject = f"file {path}" if path else f"image file {target}"
        where = path or f"{target} of the image"
        if target.startswith(str(places.job.image_archive)):
            path, subject, where = "", "image configuration", "the image's configuration"
    return Issue(
        rule=one_line(entry.get("RuleID"), 100),
        kind=IssueKind.SECRET,
        severity=_severity(entry),
        title=title,
        message=text(f"{title} in {one_line(where, 500)}."),
        subject=subject,
        path=path,
        line=line if path else 0,
        end_line=(number(entry.get("EndLine")) or line) if path else 0,
        fix="Revoke it, take it out of the file and out of the history, and pass it at run time.",
        cwe=(798,),
    )


def _licence(
    entry: dict[str, Json], target: str, lines: dict[str, int], stage: Stage, places: Places
) -> Issue:
    name = one_line(entry.get("Name"), 100)
    package = one_line(entry.get("PkgName"))
    category = one_line(entry.get("Category"), 40) or "unknown"
    if stage is Stage.IMAGE:
        path, line = places.base_image() if target == "OS Packages" else places.first_line()
    else:
        # Its target is a headline unless a file's own text was recognised.
        path = text(entry.get("FilePath"))
        line = lines.get(package, 1) if path else 0
        if not path:
            path, line = places.first_line()
    of = f"Package {package}" if package else f"File {one_line(path, 500)}"
    return Issue(
        rule=name,
        kind=IssueKind.LICENCE,
        severity=_severity(entry),
        title=f"Licence {name} ({category})",
        message=text(f"{of} is under {name}, a licence of the category {category}."),
        subject=f"package {package_name(package)}" if package else f"file {path}",
        path=path,
        line=line,
        end_line=line,
        fix="Check that its terms suit the way the server is passed on.",
        url=_url(entry.get("Link")),
    )


def _url(value: Json) -> str:
    found = one_line(value, 500)
    return found if found.startswith("https://") else ""


def _cwes(value: Json) -> tuple[int, ...]:
    names = [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
    return tuple(int(match[1]) for match in map(_CWE.match, names) if match)
