"""Imports point down and libraries stay where they belong: read from the syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "mcp_sandbox"
ROOT = Path(__file__).parents[2] / "entrypoint" / PACKAGE

LAYERS: dict[str, int] = {
    "model": 0,
    "errors": 0,
    "background": 0,
    "endpoints": 0,
    "nesting": 0,
    "frames": 0,
    "git": 0,
    "words": 0,
    "samples": 0,
    "sources.names": 0,
    "deeds": 1,
    "hostnames": 1,
    "settings": 1,
    "interrupts": 0,
    "proc": 1,
    "report.escape": 1,
    "report.spans": 1,
    "report.diff": 1,
    "report.diff_text": 1,
    "report.lines": 1,
    "report.started": 1,
    "report.taken": 1,
    "image": 2,
    "sandbox": 2,
    "warden": 2,
    "probe": 2,
    "planted": 2,
    "trace": 2,
    "launch": 2,
    "locate": 2,
    "merging": 2,
    "baseline.alternatives": 1,
    "baseline.compare": 1,
    "baseline.items": 1,
    "baseline.keywords": 1,
    "baseline.likeness": 1,
    "baseline.schemas": 1,
    "baseline": 2,
    "scanned": 2,
    "sources": 2,
    "scanners.shell": 1,
    "scanners.launchers": 1,
    "scanners": 2,
    "rules.secrets": 1,
    "rules": 2,
    "coverage": 2,
    "policy": 2,
    "score": 2,
    "report": 2,
    "pipeline": 3,
    "action": 4,
    "cli": 4,
    "__main__": 5,
}
"""Module or package -> layer. A module may import lower layers and its own package only."""

CLI_MAY_NOT_REACH = 2
"""The front doors see settings, the pipeline and the facts, never a single step."""

OWNERS: dict[str, tuple[str, ...]] = {
    "docker": ("image", "sandbox"),
    "mcp": ("probe",),
    "mcp_types": ("probe",),
    "sarif_om": ("report.sarif",),
    "jinja2": ("report", "merging"),
    "click": ("cli",),
    "rich": ("cli",),
    "jsonschema_rs": ("probe",),
    "subprocess": ("proc", "warden.authority", "warden.netns"),
}
"""Library -> the modules that may import it."""


def modules() -> dict[str, ast.Module]:
    """Dotted name below the package -> syntax tree, for every module there is."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = list(path.relative_to(ROOT).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        found[".".join(parts)] = ast.parse(path.read_text())
    return found


MODULES = modules()


def home(name: str) -> str:
    """The entry of LAYERS that a module belongs to: the longest that fits."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        candidate = ".".join(parts[:length])
        if candidate in LAYERS:
            return candidate
    raise AssertionError(f"{name} has no layer: add it to the table in design and test")


def imports(tree: ast.AST) -> Iterator[str]:
    """Every imported dotted name, wherever in the file it is imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the layer"
            base = node.module or ""
            whole = [f"{base}.{alias.name}" for alias in node.names]
            # ``from package import module`` uses the module, not the package.
            submodules = [name for name in whole if name.removeprefix(PACKAGE + ".") in MODULES]
            yield from submodules
            if len(submodules) < len(whole):
                yield base


def inner(tree: ast.AST) -> set[str]:
    """Homes of our own modules that a tree imports."""
    names = {name for name in imports(tree) if name.startswith(PACKAGE + ".")}
    return {home(name.removeprefix(PACKAGE + ".")) for name in names}


def violations(name: str, tree: ast.AST) -> list[str]:
    """What is wrong with one module's imports."""
    own = home(name)
    found = []
    for other in sorted(inner(tree) - {own}):
        if own.split(".")[0] == other.split(".")[0]:
            continue  # inside one package
        if LAYERS[other] >= LAYERS[own]:
            found.append(f"{name} (layer {LAYERS[own]}) imports {other} (layer {LAYERS[other]})")
        if LAYERS[own] == LAYERS["cli"] and LAYERS[other] == CLI_MAY_NOT_REACH:
            found.append(f"{name} reaches past the pipeline into {other}")
    libraries = {full.split(".")[0] for full in imports(tree)} & set(OWNERS)
    return found + [
        f"{name} imports {library}, which belongs to {OWNERS[library]}"
        for library in sorted(libraries)
        if not any(name == owner or name.startswith(owner + ".") for owner in OWNERS[library])
    ]


@pytest.mark.parametrize("name", sorted(set(MODULES) - {""}))
def test_imports_point_down(name: str):
    assert violations(name, MODULES[name]) == []


def test_every_layer_entry_exists():
    roots = {name.split(".")[0] for name in MODULES} | set(MODULES)
    assert set(LAYERS) - roots == set()


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("model", "from mcp_sandbox.settings import Settings"),
        ("probe.session", "import mcp_sandbox.sandbox"),
        ("rules.seed", "from mcp_sandbox.probe import plan"),
        ("rules.seed", "def f():\n    from mcp_sandbox.score import detail"),
        ("score", "import docker"),
        ("cli", "from mcp_sandbox.probe import session"),
    ],
)
def test_the_guard_bites(name: str, source: str):
    assert violations(name, ast.parse(source))


def test_only_the_front_door_reads_the_environment_prints_or_exits():
    found = []
    for name, tree in MODULES.items():
        if name.split(".")[0] in {"action", "cli"} or name.split(".")[-1] == "__main__":
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node) in {
                "os.environ",
                "os.getenv",
                "os.environb",
                "sys.exit",
                "sys.stdout",
                "sys.stderr",
            }:
                found.append(f"{name}:{node.lineno} {ast.unparse(node)}")
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"print", "exit"}:
                found.append(f"{name}:{node.lineno} {ast.unparse(node.func)}")
    assert found == []


def test_models_are_frozen_and_import_only_the_standard_library():
    tree = MODULES["model"]
    outside = {full for full in imports(tree) if not full.startswith(f"{PACKAGE}.model.")}
    assert {full.split(".")[0] for full in outside} <= {
        "__future__",
        "collections",
        "dataclasses",
        "enum",
        "typing",
    }
    loose = [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for decorator in node.decorator_list
        if ast.unparse(decorator) != "dataclass(frozen=True)"
    ]
    assert loose == []
