"""Secrets that are made while the run goes on, for settings that a server turns out to lack."""

from __future__ import annotations

import secrets
from dataclasses import replace

from mcp_sandbox.planted.matcher import Matcher
from mcp_sandbox.planted.places import Planted
from mcp_sandbox.planted.shapes import Mint, Random, bare, shape_for


class Grower:
    """Makes further secrets of a run; its matcher, which others hold too, knows each at once.

    A place that gets a second secret is known by the newer one; the older one is still found, as a
    secret of this run whose place is unknown.
    """

    def __init__(
        self, planted: Planted, matcher: Matcher, randbelow: Random = secrets.randbelow
    ) -> None:
        """``matcher`` is the one that the run searches with."""
        self.planted = planted
        self.grown: tuple[str, ...] = ()
        """The places of what was made here, in order."""
        self._matcher = matcher
        self._mint = Mint.of(planted.tag, planted.cores, planted.values, randbelow)

    def secret(self, place: str, name: str, form: str) -> str:
        """A secret for a setting. ``form``: a text with ``{}`` for it; empty: in its own shape."""
        if form:
            value = form.replace("{}", self._mint.secret(place, bare))
            self._mint.values[place] = value
        else:
            value = self._mint.secret(place, shape_for(name.lstrip("-").replace("-", "_")))
        cores, values = dict(self._mint.cores), dict(self._mint.values)
        self.planted = replace(self.planted, cores=cores, values=values)
        self.grown = tuple(dict.fromkeys((*self.grown, place)))
        self._matcher.know(self.planted)
        return value
