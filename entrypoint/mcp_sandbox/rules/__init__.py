"""Facts in, findings out: every rule, and the one function that applies them.

A rule is a function decorated with its ``RuleInfo`` in any module of this package; importing the
package finds them all. ``evaluate`` is pure: no clock, no environment, no engine, so that a saved
report can be judged again.
"""

from __future__ import annotations

import importlib
import pkgutil

from mcp_sandbox.model import Finding, Observations, Profile, RuleInfo
from mcp_sandbox.rules.context import Context
from mcp_sandbox.rules.registry import COMPARING, REGISTERED, findings_of, order

for _module in sorted(one.name for one in pkgutil.iter_modules(__path__)):
    importlib.import_module(f"{__name__}.{_module}")

from mcp_sandbox.rules.drift import evaluate as evaluate_drift  # noqa: E402 - all are registered

__all__ = ["ALL", "evaluate", "evaluate_drift"]

ALL: tuple[RuleInfo, ...] = tuple(
    sorted(
        (one.info for table in (REGISTERED, COMPARING) for one in table.values()),
        key=lambda info: info.id,
    )
)
"""Every rule, sorted by id: those on what was seen, and those on what differs from a baseline."""


def evaluate(observations: Observations, profile: Profile = Profile.DEFAULT) -> tuple[Finding, ...]:
    """All findings, worst class first, then by rule and subject.

    Under ``Profile.SEED`` the rules of the article's own list get the article's classes; the other
    rules keep theirs, so that profile is never the milder one.
    """
    context = Context(observations)
    found: list[Finding] = []
    for rule in sorted(REGISTERED):
        found += findings_of(REGISTERED[rule], context, profile)
    return tuple(sorted(found, key=order))
