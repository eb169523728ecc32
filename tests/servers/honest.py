"""A small honest MCP server over standard input and output, for both protocol eras.

The servers in this folder are this class: as it stands (``good/``, ``stateless/``), or with one of
its methods replaced by a misbehaviour (``hostile/``). Standard library only, one thread, one
message at a time, Python 3.11+. The wire shape of the 2026-07-28 version is the one of the
``mcp-types`` 2.3 package; ``tests/unit/test_server_corpus.py`` holds every answer against it.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import Any

Message = dict[str, Any]
Handler = Callable[[Message], Message]

HANDSHAKE_VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
STATELESS_VERSION = "2026-07-28"
META = "io.modelcontextprotocol/"
OPENINGS = ("initialize", "server/discover")
CACHED = ("server/discover", "resources/read")
"""Methods whose stateless answer carries a cache hint, next to all lists."""

METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INVALID_REQUEST = -32600
UNSUPPORTED_VERSION = -32022

LIFETIME_S = 120
"""No server of the corpus outlives this, whatever became of the test that started it."""


class Speaks(StrEnum):
    """Which protocol era a server serves."""

    HANDSHAKE = "handshake"
    STATELESS = "stateless"
    DUAL = "dual"
    """Whichever the first request belongs to, for the whole connection."""


class RpcError(Exception):
    """Answered as a JSON-RPC error."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.body = {"code": code, "message": message} | ({} if data is None else {"data": data})


def text(value: str, *, error: bool = False) -> Message:
    """A tool result with one text."""
    return {"content": [{"type": "text", "text": value}], "isError": error}


def tool(name: Any, description: str = "", **properties: Message) -> Message:
    """A tool definition whose properties are all required."""
    return {
        "name": name,
        "description": description,
        "inputSchema": {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        },
    }


ECHO = tool("echo", "Returns its text.", text={"type": "string"})
ADD = tool("add", "Adds two whole numbers.", a={"type": "integer"}, b={"type": "integer"})
UPPER = tool("upper", "Returns its text in capital letters.", text={"type": "string"})


def write_all(descriptor: int, data: bytes) -> None:
    """Write every byte, blocking."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def read_lines(descriptor: int) -> Iterator[bytes]:
    """The lines of a descriptor, until its end."""
    with os.fdopen(descriptor, "rb", closefd=False) as stream:
        yield from stream


class Server:
    """Answers requests in their order; a subclass or a mode replaces single methods."""

    def __init__(self, name: str = "honest", speaks: Speaks = Speaks.HANDSHAKE) -> None:
        self.info: Any = {"name": name, "version": "1.0.0"}
        self.speaks = speaks
        self.capabilities: Any = {"tools": {}}
        self.instructions: Any = None
        self.tools: list[Any] = [ECHO, ADD]
        self.page_size = 1000
        self.calls = 0
        """Requests for ``tools/call`` so far, the one being answered included."""
        self.handlers: dict[str, Handler] = {
            "initialize": self.initialize,
            "server/discover": self.discover,
            "ping": lambda _: {},
            "tools/list": lambda params: self.page("tools", self.tools, params),
            "tools/call": self.call_tool,
        }

    # --- the loop ---------------------------------------------------------------------------------

    def serve(self) -> None:
        """Speak until standard input ends."""
        signal.alarm(LIFETIME_S)
        self.at_start()
        for line in self.lines():
            self.on_message(json.loads(line))

    def at_start(self) -> None:
        """Called once, before anything is read."""

    def lines(self) -> Iterable[bytes]:
        """The client's lines."""
        return read_lines(0)

    def on_message(self, message: Message) -> None:
        """Answer a request; an honest server needs no notification."""
        if "method" in message and "id" in message:
            self.calls += message["method"] == "tools/call"
            self.answer(message)

    def answer(self, request: Message) -> None:
        """Send one answer."""
        try:
            body = {"result": self.result(request)}
        except RpcError as error:
            body = {"error": error.body}
        self.send(self.envelope(request, body))

    def envelope(self, request: Message, body: Message) -> Message:
        """Turn a result or error into the answer to a request."""
        return {"jsonrpc": "2.0", "id": request["id"], **body}

    def send(self, message: Any) -> None:
        """Send one message as one line."""
        self.write(self.encode(message) + b"\n")

    def encode(self, message: Any) -> bytes:
        """JSON on one line."""
        return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()

    def write(self, data: bytes) -> None:
        """Write to standard output."""
        write_all(1, data)

    def notify(self, method: str, **params: Any) -> None:
        """Send a notification."""
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    def ask(self, number: Any, method: str, **params: Any) -> None:
        """Send a request to the client; its answer is ignored by ``on_message``."""
        self.send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})

    # --- the protocol -----------------------------------------------------------------------------

    def result(self, request: Message) -> Message:
        """The result of a request, in the shape of its era."""
        method, params = request["method"], request.get("params") or {}
        meta = params.get("_meta") or {}
        stateless = META + "protocolVersion" in meta or method == "server/discover"
        if self.speaks is Speaks.DUAL:
            self.speaks = Speaks.STATELESS if stateless else Speaks.HANDSHAKE
        if self.speaks is Speaks.STATELESS:
            self.check_envelope(meta)
        elif stateless and method != "server/discover":
            raise RpcError(INVALID_REQUEST, "this connection serves the handshake era")
        wrong_era = method == OPENINGS[self.speaks is Speaks.HANDSHAKE]
        if method not in self.handlers or wrong_era:
            raise RpcError(METHOD_NOT_FOUND, "Method not found", method)
        result = self.handlers[method](params)
        return self.complete(method, result) if self.speaks is Speaks.STATELESS else result

    def check_envelope(self, meta: Message) -> None:
        """Refuse a request that lacks version or capabilities, or is of another version."""
        if not {META + "protocolVersion", META + "clientCapabilities"} <= meta.keys():
            raise RpcError(INVALID_PARAMS, "params._meta lacks protocolVersion, clientCapabilities")
        asked = meta[META + "protocolVersion"]
        if asked != STATELESS_VERSION:
            data = {"supported": [STATELESS_VERSION], "requested": asked}
            raise RpcError(UNSUPPORTED_VERSION, "Unsupported protocol version", data)

    def complete(self, method: str, result: Message) -> Message:
        """What the stateless era adds to a result."""
        cached = {"ttlMs": 0, "cacheScope": "private"}
        return {
            "resultType": "complete",
            **(cached if method.endswith("/list") or method in CACHED else {}),
            **result,
            "_meta": {META + "serverInfo": self.info},
        }

    def initialize(self, params: Message) -> Message:
        """Agree to the version that the client offers, else offer the newest."""
        offered = params.get("protocolVersion")
        version = offered if offered in HANDSHAKE_VERSIONS else HANDSHAKE_VERSIONS[-1]
        return {"protocolVersion": version, "serverInfo": self.info, **self.abilities()}

    def discover(self, _: Message) -> Message:
        """Say which versions the stateless era is served in."""
        return {"supportedVersions": [STATELESS_VERSION], **self.abilities()}

    def abilities(self) -> Message:
        """What both opening answers hold."""
        given = {} if self.instructions is None else {"instructions": self.instructions}
        return {"capabilities": self.capabilities, **given}

    def page(self, key: str, items: list[Any], params: Message) -> Message:
        """One page of a list; the cursor is ``after-N``."""
        cursor = params.get("cursor", "after-0")
        known = {f"after-{n}": n for n in range(0, max(len(items), 1), self.page_size)}
        if cursor not in known:
            raise RpcError(INVALID_PARAMS, "Unknown cursor")
        end = known[cursor] + self.page_size
        more = {"nextCursor": f"after-{end}"} if end < len(items) else {}
        return {key: items[known[cursor] : end], **more}

    def call_tool(self, params: Message) -> Message:
        """Call ``echo``, ``add`` or ``upper``; wrong arguments are the tool's own error."""
        name, given = params.get("name"), params.get("arguments") or {}
        known = {item["name"]: item for item in self.tools if item in (ECHO, ADD, UPPER)}
        if not isinstance(name, str) or name not in known:
            raise RpcError(INVALID_PARAMS, f"Unknown tool: {name}")
        wanted = known[name]["inputSchema"]["properties"]
        kinds = {"string": str, "integer": int}
        if not isinstance(given, dict) or given.keys() != wanted.keys():
            return text(f"{name} takes {', '.join(wanted)}", error=True)
        for key, value in given.items():
            if type(value) is not kinds[wanted[key]["type"]]:
                return text(f"{key} is not of type {wanted[key]['type']}", error=True)
        if name == "add":
            return text(str(given["a"] + given["b"]))
        return text(given["text"].upper() if name == "upper" else given["text"])


PROMPT = {
    "name": "greet",
    "description": "Asks for a greeting.",
    "arguments": [{"name": "who", "description": "Whom to greet.", "required": True}],
}
RESOURCE = {"uri": "note://welcome", "name": "welcome", "mimeType": "text/plain"}
TEMPLATE = {"uriTemplate": "note://day/{day}", "name": "day", "mimeType": "text/plain"}
DAYS = ("monday", "tuesday")


class FullServer(Server):
    """All three tools on three pages, one prompt, one resource and one resource template."""

    def __init__(self, name: str = "honest", speaks: Speaks = Speaks.HANDSHAKE) -> None:
        super().__init__(name, speaks)
        self.capabilities = {"tools": {}, "prompts": {}, "resources": {}}
        self.instructions = "Three tools for texts and numbers, and a few notes."
        self.tools = [ECHO, ADD, UPPER]
        self.page_size = 1
        self.handlers |= {
            "prompts/list": lambda params: self.page("prompts", [PROMPT], params),
            "prompts/get": self.get_prompt,
            "resources/list": lambda params: self.page("resources", [RESOURCE], params),
            "resources/templates/list": lambda params: self.page(
                "resourceTemplates", [TEMPLATE], params
            ),
            "resources/read": self.read_resource,
        }

    def get_prompt(self, params: Message) -> Message:
        """The one prompt, with its argument."""
        who = (params.get("arguments") or {}).get("who")
        if params.get("name") != PROMPT["name"] or not isinstance(who, str):
            raise RpcError(INVALID_PARAMS, "prompts/get takes the name greet and a text who")
        content = {"type": "text", "text": f"Say hello to {who}."}
        return {"messages": [{"role": "user", "content": content}]}

    def read_resource(self, params: Message) -> Message:
        """The welcome note, or the note of a day."""
        uri = params.get("uri")
        notes = {"note://welcome": "Welcome."}
        notes |= {f"note://day/{day}": f"Nothing on {day}." for day in DAYS}
        if not isinstance(uri, str) or uri not in notes:
            raise RpcError(INVALID_PARAMS, "Unknown resource", {"uri": uri})
        return {"contents": [{"uri": uri, "mimeType": "text/plain", "text": notes[uri]}]}
