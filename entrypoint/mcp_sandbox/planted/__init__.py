"""Secrets that have no business anywhere: planted per run, and recognised wherever they turn up.

``make`` says what to plant and where; ``Matcher`` finds it again, plain or encoded, and masks it.
The probe never sends one, so a hit proves by itself that the secret crossed a boundary.
"""

from mcp_sandbox.planted.declared import declared
from mcp_sandbox.planted.growing import Grower
from mcp_sandbox.planted.matcher import Matcher
from mcp_sandbox.planted.places import Planted, make

__all__ = ["Grower", "Matcher", "Planted", "declared", "make"]
