"""Strings that have the form of a real key, and are no placeholder."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

MIN_ENTROPY = 3.0
"""Bits per character of the random part; ``xxxx`` and ``1234`` stay below."""

_FORMS: tuple[tuple[str, str, re.Pattern[str]], ...] = tuple(
    (name, trigger, re.compile(pattern))
    for name, trigger, pattern in (
        ("an AWS access key id", "IA", r"\b(?:AKIA|ASIA)([A-Z0-9]{16})\b"),
        ("a GitHub token", "gh", r"\bgh[pousr]_([A-Za-z0-9]{36})\b"),
        ("a GitHub token", "github_pat_", r"\bgithub_pat_([A-Za-z0-9_]{82})\b"),
        ("a GitLab token", "glpat-", r"\bglpat-([A-Za-z0-9_-]{20,})"),
        ("a Slack token", "xox", r"\bxox[abprs]-([A-Za-z0-9-]{20,})"),
        ("a Stripe key", "_live_", r"\b[sr]k_live_([A-Za-z0-9]{20,})"),
        ("an Anthropic key", "sk-ant-", r"\bsk-ant-[a-z0-9]+-([A-Za-z0-9_-]{32,})"),
        ("an OpenAI key", "sk-", r"\bsk-(?:proj-|svcacct-)?([A-Za-z0-9_-]{40,})"),
        ("a Google API key", "AIza", r"\bAIza([A-Za-z0-9_-]{35})\b"),
        ("an npm token", "npm_", r"\bnpm_([A-Za-z0-9]{36})\b"),
        ("a PyPI token", "pypi-", r"\bpypi-AgE([A-Za-z0-9_-]{50,})"),
        ("a SendGrid key", "SG.", r"\bSG\.([A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43})\b"),
        ("a Notion token", "ntn_", r"\bntn_([A-Za-z0-9]{40,})\b"),
        (
            "a private key",
            "-----BEGIN",
            r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s*((?:[A-Za-z0-9+/=]{16,}\s*){2,})",
        ),
        (
            "a signed token",
            "eyJ",
            r"\beyJ[A-Za-z0-9_-]{10,}\.(eyJ[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,})",
        ),
    )
)
_PLACEHOLDER = re.compile(
    r"example|sample|placeholder|your|dummy|fake|test|xxx|redacted|changeme|foobar|abcdef"
    r"|123456|000000|<planted|eyjzdwiioiixmjm0nty3odkw",
    re.IGNORECASE,
)


def secrets_in(text: str) -> Iterator[tuple[str, str]]:
    """(what it is, the secret with all but its beginning masked)."""
    for name, trigger, pattern in _FORMS:
        if trigger not in text:
            continue
        for match in pattern.finditer(text):
            if not _PLACEHOLDER.search(match[0]) and entropy(match[1]) >= MIN_ENTROPY:
                yield name, match[0][:6].replace("\n", " ") + "…"


def entropy(text: str) -> float:
    """Shannon entropy, bits per character."""
    if not text:
        return 0.0
    counts = Counter(text).values()
    return -sum(count / len(text) * math.log2(count / len(text)) for count in counts)
