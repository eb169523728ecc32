"""Headers that a user gives for the server, and those that he may not."""

from __future__ import annotations

import pytest

from mcp_sandbox.errors import BadInput
from mcp_sandbox.settings import load


def test_headers_are_taken_apart_at_the_first_equals_sign():
    made = load({"image": "things", "http_header": ("Authorization=Bearer a=b", "X-Key=k")})
    assert made.headers == (("Authorization", "Bearer a=b"), ("X-Key", "k"))


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("Authorization", "name of a header"),
        ("=secret", "name of a header"),
        ("Bad Name=secret", "name of a header"),
        ("Host=secret", "set by the prober itself"),
        ("transfer-encoding=secret", "set by the prober itself"),
        ("MCP-Session-Id=secret", "set by the prober itself"),
        ("X-A=secret\r\nX-B: 1", "printable ASCII"),
        ("X-A= secret", "printable ASCII"),
        ("X-A=sécret", "printable ASCII"),
        ("X-A=", "printable ASCII"),
        ("X-A=" + "secret" * 2_000, "printable ASCII"),
    ],
)
def test_a_header_that_is_none_or_ours_is_refused_without_its_value(given: str, why: str):
    with pytest.raises(BadInput, match="--http-header: ") as caught:
        load({"image": "things", "http_header": (given,)})
    assert why in caught.value.what
    assert "secret" not in caught.value.what
