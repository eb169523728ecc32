"""The documentation's example is a policy, and no key is left out of it or of the tables."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from mcp_sandbox.errors import PolicyUnreadable
from mcp_sandbox.model import RiskClass
from mcp_sandbox.model.locked import Policy
from mcp_sandbox.policy import INFOS, entries, file, sidecars
from mcp_sandbox.policy.objects import PARSERS
from mcp_sandbox.policy.reading import MAX_TEXT, SCANNERS
from mcp_sandbox.rules import ALL
from mcp_sandbox.settings import load as settings_of

TEXT = (Path(__file__).parents[3] / "docs" / "policy.md").read_text(encoding="utf-8")
EXAMPLE, BESIDE = re.findall(r"^```toml\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
(MISTAKE,) = re.findall(r"^mcp-sandbox\.toml line .*$", TEXT, re.MULTILINE)
TODAY = date(2026, 11, 21)


def read(text: str) -> Policy:
    return file.load(text.encode(), rules=(*ALL, *INFOS), today=TODAY)


def test_the_example_is_a_policy_that_says_all_there_is_to_say():
    policy = read(EXAMPLE)
    settings_of({"context": ".", **policy.settings})
    assert set(file.GATE) <= set(policy.settings)
    assert {one.subject for one in policy.allow} >= {"start-up", "tools/convert"}
    for key in PARSERS:
        assert any(getattr(one, key) for one in policy.allow)
    for key in {*entries.ACCEPT} - {"fingerprint"}:
        assert any(getattr(one, key) for one in policy.accept), key
    assert {one.class_ for one in policy.classes} >= {RiskClass.HIGH, RiskClass.NOTE}


def test_the_example_of_a_sidecar_says_all_there_is_to_say():
    (sidecar,) = read(BESIDE).sidecars
    assert sidecar.user
    assert sidecar.environment
    assert all(f"`{key}`" in TEXT for key in sidecars.KEYS if key != "env")


@pytest.mark.parametrize("key", [*entries.ACCEPT, *entries.PERMISSION])
def test_every_key_of_an_entry_has_its_row(key):
    assert f"\n| `{key}` |" in TEXT


@pytest.mark.parametrize("name", file.TABLES)
def test_every_table_has_its_section(name):
    shown = {"accept": "[[accept]]", "tools": "[tools.NAME]"}.get(name, f"[{name}]")
    assert any(f"`{shown}`" in line for line in TEXT.splitlines() if line.startswith("## "))


def test_the_bounds_and_scanners_are_those_of_the_code():
    assert f"{file.MAX_BYTES // 1024} KiB and {file.MAX_ENTRIES:,} entries" in TEXT
    assert f"at most {MAX_TEXT} characters" in TEXT
    assert all(f"`{name}`" in TEXT.casefold() for name in SCANNERS)
    assert {f"policy-{word}" for word in ("expired", "unused")} == {info.id for info in INFOS}
    assert all(f"rules.md#{info.id}" in TEXT for info in INFOS)


def test_the_mistake_that_is_shown_is_the_one_that_is_told():
    lines = [*[""] * 8, "[[accept]]", "rule = 'hang'", "reason = 'r'", "expire = 2027-01-31"]
    with pytest.raises(PolicyUnreadable) as refused:
        read("\n".join(lines))
    assert refused.value.what == MISTAKE
