"""Arguments that a tool wants repeated in headers (2026-07-28)."""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

import pytest
from mcp.shared.inbound import validate_mcp_param_headers

from mcp_sandbox.model import Era, Place, Transport
from mcp_sandbox.probe.http.exchange import Head
from mcp_sandbox.probe.http.params import MAX_HEADERS, MAX_VALUE, ParamHeaders
from mcp_sandbox.probe.http.requests import Requests
from mcp_sandbox.probe.inputs import Targets, for_tool

REGION = {"type": "string", "x-mcp-header": "Region"}


def listing(*tools: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"tools": tools}}).encode()


def tool(name: str = "find", /, **properties: Any) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object", "properties": properties}}


def call(name: str = "find", /, **arguments: Any) -> dict[str, Any]:
    return {"id": 2, "method": "tools/call", "params": {"name": name, "arguments": arguments}}


def of(body: bytes, message: dict[str, Any]) -> list[tuple[str, str]]:
    known = ParamHeaders()
    known.learn(body)
    return known.of(message)


def test_a_value_is_repeated_as_the_transport_encodes_it():
    nested = {"type": "object", "properties": {"size": {"type": "integer", "x-mcp-header": "Size"}}}
    body = listing(tool(region=REGION, more=nested, dry={"type": "boolean", "x-mcp-header": "Dry"}))
    message = call(region="München\r\nX: y", more={"size": 7}, dry=True)
    assert sorted(of(body, message)) == [
        ("Mcp-Param-Dry", "true"),
        ("Mcp-Param-Region", "=?base64?TcO8bmNoZW4NClg6IHk=?="),
        ("Mcp-Param-Size", "7"),
    ]


@pytest.mark.parametrize(
    "message",
    [
        call(other="x"),
        call(region=None),
        call(region={"a": 1}),
        call(region="\ud800"),
        call(region="x" * (MAX_VALUE + 1)),
        call("another", region="eu"),
        {"id": 1, "method": "tools/list", "params": {"name": "find"}},
        {"id": 1, "method": "tools/call", "params": {"name": "find", "arguments": [1]}},
        {"id": 1, "method": "tools/call"},
    ],
)
def test_nothing_goes_along_with_what_has_no_value(message: dict[str, Any]):
    assert of(listing(tool(region=REGION)), call(region="eu")) == [("Mcp-Param-Region", "eu")]
    assert of(listing(tool(region=REGION)), message) == []


@pytest.mark.parametrize(
    "body",
    [
        b"x-mcp-header",
        b'{"result": ["x-mcp-header"]}',
        b'{"result": {"tools": {"x-mcp-header": 1}}}',
        b"[" * 100_000 + b"x-mcp-header",
        listing("x-mcp-header", None, {"name": 1, "inputSchema": {"x-mcp-header": "A"}}),
        listing(tool(region={"type": "string", "x-mcp-header": "no token"})),
        listing(tool(region={"type": "number", "x-mcp-header": "Region"})),
        listing(tool(region=REGION, other=REGION)),
        listing(tool(list={"type": "array", "items": REGION})),
    ],
)
def test_a_declaration_that_is_none_gives_no_header(body: bytes):
    assert of(body, call(region="eu", list=["eu"])) == []


def test_a_server_of_the_sdk_finds_every_input_as_its_headers_say():
    """Judged by what the SDK's own servers refuse a request with."""
    listed = tool(region=REGION, count={"type": "integer", "x-mcp-header": "Count"})
    inputs = for_tool(listed, Targets(seed=3))
    hostile = list(islice(inputs.hostile, 400))
    known = ParamHeaders()
    known.learn(listing(listed))
    mismatches, headers = 0, []
    for one in (*inputs.valid, *hostile):
        sent = dict(known.of(call(**one.arguments)))
        headers.append(sent)
        mismatches += bool(validate_mcp_param_headers(listed["inputSchema"], one.arguments, sent))
    assert len({str(sent) for sent in headers}) > 50
    assert mismatches <= sum(_unsendable(one.arguments) for one in hostile)


def _unsendable(arguments: Any) -> bool:
    """Longer than a header is sent, or half a surrogate pair."""
    text = str(arguments.get("region"))
    return len(text) > MAX_VALUE or any("\ud800" <= one <= "\udfff" for one in text)


def test_headers_are_bounded():
    properties = {f"p{n}": {"type": "integer", "x-mcp-header": f"P{n}"} for n in range(500)}
    found = of(listing(tool(**properties)), call(**dict.fromkeys(properties, 1)))
    assert len(found) == MAX_HEADERS


@pytest.mark.parametrize("era", Era)
def test_they_are_sent_in_the_stateless_era_alone(era: Era):
    requests = Requests(Place(Transport.HTTP, 1, "/mcp"), era, "test/1", (("X-Own", "1"),))
    requests.opened(Head(200, (), "1.1"))
    requests.look({"id": 1, "method": "tools/list"}, listing(tool(region=REGION)))
    sent = dict(requests.post(b"{}", call(region="eu")).headers)
    assert sent.get("Mcp-Param-Region") == ("eu" if era is Era.STATELESS else None)
    assert sent["X-Own"] == "1"
