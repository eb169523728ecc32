"""What is put into a server's container: secrets that have no business anywhere, and samples.

``make`` says what to plant and where; ``Matcher`` finds it again, plain or encoded, and masks it.
The probe never sends one, so a hit proves by itself that the secret crossed a boundary. A sample
is no secret: ordinary calls name it, and a server that returns it does what it was asked to.
"""

from mcp_sandbox.planted.declared import declared
from mcp_sandbox.planted.growing import Grower
from mcp_sandbox.planted.matcher import Matcher
from mcp_sandbox.planted.places import Planted, make
from mcp_sandbox.planted.sample_files import samples_beside, samples_in_scratch

__all__ = [
    "Grower",
    "Matcher",
    "Planted",
    "declared",
    "make",
    "samples_beside",
    "samples_in_scratch",
]
