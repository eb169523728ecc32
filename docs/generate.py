"""Writes the generated files of ``docs/``: ``python docs/generate.py [NAME …] [--check]``.

To add one, write a function that returns its text and name it in ``GENERATORS``. With ``--check``
nothing is written and the exit code is 1 when a file is not what its function returns.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

from mcp_sandbox import scanned, score
from mcp_sandbox.action import inputs as action_inputs
from mcp_sandbox.action.files import OUTPUTS
from mcp_sandbox.baseline import shape as lock_shape
from mcp_sandbox.errors import ExitCode
from mcp_sandbox.model import Profile, RiskClass, RuleInfo
from mcp_sandbox.pipeline import rule_infos
from mcp_sandbox.policy import file as policy_file
from mcp_sandbox.policy.apply import EXACTLY, PERMITTED
from mcp_sandbox.probe import payloads as payload_files
from mcp_sandbox.report import json as report_json
from mcp_sandbox.scanners import dockerfile_rules
from mcp_sandbox.settings import Settings, option, shown_default

DOCS = Path(__file__).parent


def schema() -> str:
    """The JSON Schema of ``report.json``."""
    return json.dumps(report_json.schema(), indent=2, ensure_ascii=False) + "\n"


def lock_schema() -> str:
    """The JSON Schema of the lock file."""
    return json.dumps(lock_shape.schema(), indent=2, ensure_ascii=False) + "\n"


EXIT_MEANINGS = {
    ExitCode.PASS: "the verdict is `pass`",
    ExitCode.GATE_FAILED: "the gate failed: a finding of a class in `--fail-on`, a regression "
    "against the baseline, a score below `--fail-below`",
    ExitCode.BAD_INPUT: "bad input or configuration: no Dockerfile, a build that fails, an unknown "
    "option, a lock file or policy that cannot be read",
    ExitCode.INFRASTRUCTURE: "infrastructure failed, or the run is inconclusive: no engine, a "
    "server that never answered, a witness that is missing",
}


def configuration() -> str:
    """Every option of ``scan`` with its default, and the exit codes."""
    lines = [
        "# Configuration",
        "",
        "Written by `docs/generate.py`; do not edit.",
        "",
        "`mcp-sandbox scan FOLDER`, `mcp-sandbox scan SOURCE` or `mcp-sandbox scan --image REF`;",
        "what follows `--` is for the server itself. Sizes are bytes or end in `k`, `m`, `g`.",
        "",
        "| option | default | meaning |",
        "| --- | --- | --- |",
    ]
    for name, field in Settings.model_fields.items():
        if name in {"context", "args"}:
            continue
        default = shown_default(name)
        told = f"`{default}`" if default else ""
        lines.append(f"| `{option(name)}` | {told} | {field.description} |")
    lines += _action_tables()
    lines += ["", "## Exit codes", "", "| code | meaning |", "| --- | --- |"]
    lines += [f"| {code.value} | {EXIT_MEANINGS[code]} |" for code in ExitCode]
    lines += [
        "",
        "There are no others. A traceback is printed only after `mcp-sandbox --debug …`.",
        "",
    ]
    return "\n".join(lines)


def _action_tables() -> list[str]:
    """What the action has, or has otherwise than the command."""
    own = [one for one in action_inputs.known() if one.name in {"context", "args", "env", "allow"}]
    own += [one for one in action_inputs.known() if one.name == action_inputs.UNSAFE]
    lines = [
        "",
        "## The action",
        "",
        "An input is an option without its dashes (`fail-below: 80`), empty where it is left out.",
        f"It finds {_listed(sorted(map(option, action_inputs.OWN)))} by itself. Otherwise than the",
        "command's, or new:",
        "",
        "| input | meaning |",
        "| --- | --- |",
    ]
    lines += [f"| `{one.name}` | {one.description} |" for one in own]
    lines += ["", "| output | meaning |", "| --- | --- |"]
    return lines + [f"| `{name}` | {told} |" for name, told in OUTPUTS.items()]


def _listed(names: list[str]) -> str:
    return " and ".join(f"`{name}`" for name in names)


ACTION = DOCS.parent / "action.yml"
README = DOCS.parent / "README.md"
SHORT = (
    *("context", "image", "dockerfile", "fail-below", "fail-on", "baseline", "scanners"),
    *("network", "out"),
)
"""Inputs that the README shows."""
_PINNED = re.compile(r"image: (docker://[^\s@]+@sha256:[0-9a-f]{64})")


def action() -> str:
    """``action.yml``: the inputs are the settings."""
    # A release's commit names the image by its digest; everywhere else it is built.
    here = ACTION.read_text(encoding="utf-8") if ACTION.is_file() else ""
    pinned = _PINNED.search(here)
    document = {
        "name": "mcp-sandbox",
        "description": "Builds an MCP server, runs it in a sealed sandbox, calls every tool with "
        "hostile input, and says what it does.",
        "author": "mcp-sandbox-action",
        "branding": {"icon": "shield", "color": "blue"},
        "inputs": {
            one.name: {
                # No default of the runner's: what a workflow leaves out, a policy may set.
                "description": one.told,
                "required": False,
                "default": "",
            }
            for one in action_inputs.known()
        },
        "outputs": {name: {"description": told} for name, told in OUTPUTS.items()},
        "runs": {
            "using": "docker",
            "image": pinned[1] if pinned else "Dockerfile",
            "entrypoint": "/opt/mcp-sandbox/bin/mcp-sandbox-action",
            "post-entrypoint": "/opt/mcp-sandbox/bin/mcp-sandbox-cleanup",
        },
    }
    text: str = yaml.safe_dump(document, sort_keys=False, width=96, allow_unicode=True)
    return f"# Written by `docs/generate.py`; do not edit.\n{text}"


def readme() -> str:
    """The README with its table of inputs and outputs."""
    known = {one.name: one for one in action_inputs.known()}
    lines = ["| input | default | meaning |", "| --- | --- | --- |"]
    for name in SHORT:
        told = f"`{known[name].default}`" if known[name].default else ""
        lines.append(f"| `{name}` | {told} | {known[name].description} |")
    lines += ["", "| output | meaning |", "| --- | --- |"]
    lines += [f"| `{name}` | {told} |" for name, told in OUTPUTS.items()]
    start, end = "<!-- Written by docs/generate.py. -->\n", "<!-- Until here. -->\n"
    before, _, rest = README.read_text(encoding="utf-8").partition(start)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"{README.name} has no place for the table of inputs")
    return before + start + "\n" + "\n".join(lines) + "\n\n" + end + after


def _class(info: RuleInfo, profile: Profile) -> str:
    if profile is Profile.SEED and info.seed_class is not None:
        return info.seed_class.value
    return info.class_.value


def _rule(info: RuleInfo) -> list[str]:
    """The section of one rule."""
    weaknesses = ", ".join(
        f"[CWE-{one}](https://cwe.mitre.org/data/definitions/{one}.html)" for one in info.cwe
    )
    seed = _class(info, Profile.SEED)
    told = "" if seed == info.class_.value else f" (`--profile seed`: {seed})"
    lines = [
        f"## {info.id}",
        "",
        f"{info.title}. **{info.class_.value}**{told}, evidence {info.evidence.value}.",
        "",
        f"- **What.** {info.what}",
        f"- **Proof.** {info.proof}",
        f"- **Quiet when.** {info.quiet_when}",
        f"- **Fix.** {info.fix}",
    ]
    if weaknesses:
        lines.append(f"- **Weaknesses.** {weaknesses}")
    return [*lines, ""]


def rules() -> str:
    """Every rule: a table, then what it means, what proves it, when it is quiet, how to fix it."""
    lines = [
        "# Rules",
        "",
        "Written by `docs/generate.py`; do not edit.",
        "",
        "A rule's class is the worst it gives; a finding may be milder, as its rule says. Evidence",
        "is what proves it: E1 a planted secret crossed a boundary, E2 a computed side effect",
        "happened, E3 the kernel or the engine saw it completed, E4 it was tried and refused, E5",
        "text matched. The score's multiplier follows the worst class: critical 0, high 0.3,",
        "medium 0.7, otherwise 1. From a static score of 100, a finding on the listing's texts",
        f"({', '.join(f'`{rule}`' for rule in sorted(score.STATIC))}) costs",
        ", ".join(f"{points} ({class_.value})" for class_, points in score.POINTS.items())
        + f" points; a note of any rule costs {score.POINTS[RiskClass.NOTE]}, and at most",
        f"{score.MAX_NOTES} notes count.",
        "",
        "| rule | finds | class | `--profile seed` | evidence |",
        "| --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| [{info.id}](#{info.id}) | {info.title} | {_class(info, Profile.DEFAULT)} "
        f"| {_class(info, Profile.SEED)} | {info.evidence.value} |"
        for info in rule_infos()
    ]
    lines.append("")
    for info in rule_infos():
        lines += _rule(info)
    return "\n".join(lines)


_MARKS = str.maketrans({char: f"&#{ord(char)};" for char in "&<>|`*_[]\\{}~$#:@"})
"""Characters of a payload that Markdown would read, as references."""


def _code(text: str) -> str:
    """A payload as code inside a table cell, whatever it holds."""
    visible = "".join(
        char if " " <= char <= "~" else ascii(char)[1:-1].replace("\\\\", "\\") for char in text
    )
    return f"<code>{visible.translate(_MARKS)}</code>"


def _sent(payload: payload_files.Payload) -> str:
    if payload.build is not None:
        made = payload.build
        count = f" × {made.count}" if made.count > 1 else ""
        return f"{made.kind.value}{count}"
    return _code(json.dumps(payload.literal) if payload.value is None else payload.value)


def _proof(payload: payload_files.Payload) -> str:
    proofs = ["the product" if payload.expected else ""]
    proofs.append(f"the file {_code(payload.effect)}" if payload.effect else "")
    return " or ".join(filter(None, proofs))


def _reference(text: str) -> str:
    if text.startswith("CWE-"):
        return f"[{text}](https://cwe.mitre.org/data/definitions/{text[4:]}.html)"
    if text.startswith("CVE-"):
        return f"[{text}](https://www.cve.org/CVERecord?id={text})"
    return text


def _payload(payload: payload_files.Payload) -> str:
    """One row."""
    whole = payload.scope is payload_files.Scope.CALL
    applies = "call" if whole else ", ".join(payload.applies)
    cells = (
        f"`{payload.id}`",
        _sent(payload),
        applies,
        _proof(payload),
        payload.why,
        _reference(payload.reference),
    )
    return f"| {' | '.join(cells)} |"


def payloads() -> str:
    """Every hostile input, by family."""
    lines = [
        "# Hostile inputs",
        "",
        "Written by `docs/generate.py` from `entrypoint/mcp_sandbox/probe/payloads/`; do not edit.",
        "",
        "`<<name>>` is filled in for each call:",
        "",
        "| name | stands for |",
        "| --- | --- |",
    ]
    lines += [f"| `{name}` | {told} |" for name, told in payload_files.PLACEHOLDERS.items()]
    lines += [
        "",
        "*For* says which parameters get it: `string` all that take text, `number` all numbers,",
        "`every` all of any type, another word those that look like it, `call` the call as a",
        "whole. Where no proof is named, what is planted in the password file, in the planted",
        "files and in the environment is the proof when it comes back.",
        "",
    ]
    for family in payload_files.families():
        lines += [f"## {family.family}", "", f"{family.title}.", ""]
        if family.hints:
            fits = ", ".join(f"`{hint.value}`" for hint in family.hints)
            lines += [f"Sent first to parameters that look like {fits}.", ""]
        lines += ["| id | sent | for | proof | why | reference |", "| --- " * 6 + "|"]
        lines += [_payload(one) for one in family.payloads]
        lines.append("")
    return "\n".join(lines)


def _between(text: str, name: str, lines: list[str]) -> str:
    """``text`` with what stands between the marks of ``name`` replaced."""
    begin, end = f"<!-- {name}: written by docs/generate.py -->", f"<!-- end of {name} -->"
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return "\n".join([f"{before}{begin}", "", *lines, "", f"{end}{after}"])


def scanners() -> str:
    """The tables of ``docs/scanners.md``: classes, points, the rules on Dockerfiles."""
    classes = ["| scanner | high | medium | note |", "| --- | --- | --- | --- |"]
    shown = (RiskClass.HIGH, RiskClass.MEDIUM, RiskClass.NOTE)
    for tool, row in scanned.CLASSES.items():
        cells = [", ".join(one for one, class_ in row.items() if class_ is two) for two in shown]
        classes.append(f"| {tool} | {' | '.join(cells)} |")
    costs = ", ".join(f"{score.SCANNER_POINTS[class_]} ({class_.value})" for class_ in shown)
    classes += [
        "",
        f"A severity that is not in the table is {scanned.UNKNOWN.value}. One finding costs",
        f"{costs} points, dearest first. One scanner costs at most {score.MAX_PER_SCANNER}, and",
        f"{score.MAX_NOTES} of its notes count: what a base image brings along hides nothing else.",
    ]
    rows = ["| rule | finds | severity | quiet when | fix |", "| --- " * 5 + "|"]
    rows += [
        f"| {one.id} | {one.title} | {one.severity} | {one.quiet_when} | {one.fix} |"
        for one in dockerfile_rules.RULES
    ]
    text = _between((DOCS / "scanners.md").read_text(encoding="utf-8"), "classes", classes)
    return _between(text, "dockerfile rules", rows)


def policy() -> str:
    """The tables of ``docs/policy.md``: settings, and the rules that a permission speaks to."""
    chosen = ["| table | key | meaning |", "| --- | --- | --- |"]
    for table, fields in (("gate", policy_file.GATE), ("launch", policy_file.LAUNCH)):
        chosen += [
            f"| `[{table}]` | `{name.replace('_', '-')}` | "
            f"{Settings.model_fields[name].description} |"
            for name in fields
        ]
    known = {info.id: info.title for info in rule_infos()}
    rows = ["| rule | finds | allowed by |", "| --- | --- | --- |"]
    for rule, key in sorted(PERMITTED.items()):
        exactly = ", by its own path" if rule in EXACTLY else ""
        rows.append(f"| [{rule}](rules.md#{rule}) | {known[rule]} | `{key}`{exactly} |")
    text = _between((DOCS / "policy.md").read_text(encoding="utf-8"), "settings", chosen)
    return _between(text, "permissions", rows)


GENERATORS: dict[str, tuple[Path, Callable[[], str]]] = {
    "action": (ACTION, action),
    "configuration": (DOCS / "configuration.md", configuration),
    "payloads": (DOCS / "payloads.md", payloads),
    "policy": (DOCS / "policy.md", policy),
    "readme": (README, readme),
    "rules": (DOCS / "rules.md", rules),
    "scanners": (DOCS / "scanners.md", scanners),
    "schema": (DOCS / "report.schema.json", schema),
    "lock-schema": (DOCS / "lock.schema.json", lock_schema),
}
"""Name -> the file and what it holds."""


def is_fresh(name: str) -> bool:
    """Whether the file is what its function returns now."""
    path, make = GENERATORS[name]
    return path.is_file() and path.read_text(encoding="utf-8") == make()


def main(arguments: list[str]) -> int:
    """Write or check the named files, or all of them; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(GENERATORS))
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 when stale")
    options = parser.parse_args(arguments)
    unknown = set(options.names) - set(GENERATORS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    stale = [name for name in options.names or GENERATORS if not is_fresh(name)]
    for name in stale:
        path, make = GENERATORS[name]
        if options.check:
            print(f"{path.name} is stale: run `python docs/generate.py {name}`")
        else:
            path.write_text(make(), encoding="utf-8")
            print(f"wrote {path.name}")
    return 1 if stale and options.check else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
