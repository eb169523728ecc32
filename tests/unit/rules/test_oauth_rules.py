"""Where what proves a finding on authorization is to be read."""

from __future__ import annotations

from support.oauth_samples import another_path, takes_any_token, wanting
from support.rule_samples import judged


def seen(rule: str, observations) -> list[tuple[str, ...]]:
    return [one.seen for one in judged(observations) if one.rule == rule]


def test_a_document_and_a_made_up_token_are_named_by_their_lines():
    at = "evidence/6-around-oauth.jsonl:"
    assert seen("oauth-resource-mismatch", another_path()) == [(f"{at}5",)]
    assert seen("token-not-checked", takes_any_token()) == [(f"{at}2",)]
    forbidden = wanting(status=403, evidence="")
    assert seen("oauth-undiscoverable", forbidden) == [()]
