"""A small MCP server over streamable HTTP, careful or careless in what only HTTP shows.

Usage: ``server.py careful|careless|shared [PORT]``. Standard library only. ``careful`` refuses what
it should; ``careless`` takes whatever it is sent, reads requests leniently and tells every client
everything; ``shared`` has one session for all and lets one site in with the user's credentials:
any.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from honest import HANDSHAKE_VERSIONS, META, STATELESS_VERSION, Server, Speaks, tool

PATH = "/mcp"
EVENTS = "text/event-stream"
MODES = ("careful", "careless", "shared")
READ = {**tool("sum", "Adds two numbers.", a={"type": "integer"}, b={"type": "integer"})}
TIME = {**tool("zone", "Names the server's time zone.")}
WRITE = {**tool("keep", "Keeps a note.", note={"type": "string"})}


class Bad(Exception):
    """The request is refused; its text is the status line's end."""


@dataclass
class Request:
    """One request."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    head: bytes

    def get(self, name: str) -> str:
        """A header; empty when there is none."""
        return self.headers.get(name, "")


class Http:
    """Listens, reads requests, and answers them as its mode says."""

    def __init__(self, mode: str, port: int) -> None:
        self.careful = mode == "careful"
        self.mode = mode
        self.numbers = itertools.count(7)
        self.sessions: dict[str, Server] = {}
        self.streams: list[socket.socket] = []
        address = "127.0.0.1" if self.careful else "0.0.0.0"
        self.listener = socket.create_server((address, port))
        self.port = self.listener.getsockname()[1]

    def serve(self) -> None:
        """Until it is killed."""
        while True:
            sock, _ = self.listener.accept()
            threading.Thread(target=self.talk, args=(sock,), daemon=True).start()

    def talk(self, sock: socket.socket) -> None:
        """One connection."""
        reader = Reader(sock, strict=self.careful)
        with contextlib.suppress(OSError, EOFError), sock:
            while True:
                try:
                    request = reader.request()
                    reply = self.reply(request, sock)
                except Bad as bad:
                    send(sock, f"{bad}", b"", close="close")
                    return
                if reply is None:
                    sock.recv(1)  # the event stream, until the client closes it
                    return
                status, body, headers = reply
                send(sock, status, body, **headers)

    # --- answers ---

    def reply(  # noqa: PLR0911 - one for each kind of request
        self, request: Request, sock: socket.socket
    ) -> tuple[str, bytes, Any] | None:
        """Status, body and headers; ``None`` where an event stream is held."""
        if self.careful:
            self.refuse(request)
        headers = self.shared_with(request)
        if request.method == "TRACE":
            return "200 OK", request.head, headers
        if request.method == "CONNECT":
            return "200 OK", b"", headers
        if request.method == "OPTIONS":
            headers["Access-Control-Allow-Headers"] = "content-type, mcp-session-id"
            return "204 No Content", b"", headers
        if request.path == f"{PATH}/" and not self.careful:
            to = f"http://{request.get('host')}{PATH}"
            return "307 Temporary Redirect", b"", headers | {"Location": to}
        if request.path != PATH:
            return "404 Not Found", b"", headers
        if request.method == "GET":
            return self.stream(request, sock)
        if request.method == "DELETE":
            if self.careful:
                self.sessions.pop(request.get("mcp-session-id"), None)
            return "204 No Content", b"", headers
        return self.message(request, headers)

    def refuse(self, request: Request) -> None:
        """What a careful server does not look at any further."""
        own = {f"{name}:{self.port}" for name in ("localhost", "127.0.0.1")}
        if request.get("host") not in own:
            raise Bad("421 Misdirected Request")
        origin = request.get("origin")
        if origin and origin not in {f"http://{one}" for one in own}:
            raise Bad("403 Forbidden")
        if request.method not in {"GET", "POST", "DELETE"}:
            raise Bad("405 Method Not Allowed")
        if request.method == "POST" and request.get("content-type") != "application/json":
            raise Bad("415 Unsupported Media Type")
        version = request.get("mcp-protocol-version")
        if version and version not in {*HANDSHAKE_VERSIONS, STATELESS_VERSION}:
            raise Bad("400 Bad Request")

    def shared_with(self, request: Request) -> dict[str, str]:
        """The headers of CORS."""
        origin = request.get("origin")
        if self.careful or not origin:
            return {}
        if self.mode == "careless":
            return {"Access-Control-Allow-Origin": "*"}
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Credentials": "true",
        }

    def stream(self, request: Request, sock: socket.socket) -> tuple[str, bytes, Any] | None:
        """Hold the events of a client, for whom a careful server has none."""
        if self.careful:
            known = request.get("mcp-session-id") in self.sessions
            return ("405 Method Not Allowed" if known else "404 Not Found"), b"", {}
        self.streams.append(sock)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {EVENTS}\r\n\r\n"
        sock.sendall(head.encode())
        return None

    def message(self, request: Request, headers: dict[str, str]) -> tuple[str, bytes, Any]:
        """Answer a message that was posted."""
        try:
            message = json.loads(request.body)
        except ValueError:
            return "400 Bad Request", b"", headers
        meta = (message.get("params") or {}).get("_meta") or {}
        stateless = META + "protocolVersion" in meta
        if stateless and self.careful and request.get("mcp-method") != message["method"]:
            raise Bad("400 Bad Request")
        if stateless:
            server = self.new(Speaks.STATELESS)
        else:
            server, id_ = self.session(request, message)
            headers = headers | ({"Mcp-Session-Id": id_} if id_ else {})
        if "id" not in message:
            return "202 Accepted", b"", headers
        answers: list[Any] = []
        server.send = answers.append  # type: ignore[method-assign]
        server.answer(message)
        body = json.dumps(answers[0]).encode()
        if not self.careful:
            self.tell_everybody(body)
        return "200 OK", body, headers | {"Content-Type": "application/json"}

    def tell_everybody(self, body: bytes) -> None:
        """Each answer goes to every stream as well."""
        for sock in list(self.streams):
            try:
                sock.sendall(b"data: " + body + b"\n\n")
            except OSError:
                self.streams.remove(sock)

    def session(self, request: Request, message: Any) -> tuple[Server, str]:
        """The session of a request, and its id where it is new."""
        given = request.get("mcp-session-id")
        if message.get("method") == "initialize" and not (self.careful and given):
            id_ = self.new_id(given)
            self.sessions[id_] = self.new(Speaks.HANDSHAKE)
            return self.sessions[id_], id_
        if given in self.sessions:
            return self.sessions[given], ""
        if self.careful:
            raise Bad("404 Not Found" if given else "400 Bad Request")
        return self.new(Speaks.HANDSHAKE), ""

    def new_id(self, given: str) -> str:
        """A session's id."""
        if self.careful:
            return os.urandom(16).hex()
        if self.mode == "shared":
            return "session"
        return given or str(next(self.numbers))

    def new(self, speaks: Speaks) -> Server:
        """A server for one client."""
        server = Server("http", speaks)
        server.tools = [READ | {"annotations": {"readOnlyHint": True}}]
        server.handlers["tools/call"] = answer
        if not self.careful:
            server.tools += [TIME, WRITE | {"annotations": {"readOnlyHint": False}}]
        return server


def answer(params: Any) -> Any:
    """The result of a tool."""
    arguments = params.get("arguments") or {}
    if params.get("name") != "sum":
        return {"content": [{"type": "text", "text": "done"}]}
    numbers = [arguments.get("a"), arguments.get("b")]
    wrong = not all(type(one) is int for one in numbers)
    said = "two whole numbers are wanted" if wrong else str(sum(numbers))
    return {"content": [{"type": "text", "text": said}], "isError": wrong}


def send(sock: socket.socket, status: str, body: bytes, **headers: str) -> None:
    """One answer."""
    if headers.pop("close", ""):
        headers["Connection"] = "close"
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    sock.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)


class Reader:
    """Takes requests off a connection: by the letter, or as careless servers do."""

    def __init__(self, sock: socket.socket, *, strict: bool) -> None:
        self.sock = sock
        self.strict = strict
        self.buffer = b""

    def request(self) -> Request:
        """The next one. Raises ``Bad``, and ``EOFError`` at the end."""
        head = self.upto(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = [
            (name.lower(), value.strip()) for name, _, value in (x.partition(":") for x in lines)
        ]
        lengths = [value for name, value in pairs if name == "content-length"]
        chunked = any(name == "transfer-encoding" for name, _ in pairs)
        if self.strict and len(lengths) + chunked > 1:
            raise Bad("400 Bad Request")
        body = self.chunks() if chunked else self.exactly(int(lengths[0]) if lengths else 0)
        method, path, _ = first.split(" ", 2)
        return Request(method, path, dict(pairs), body, head)

    def chunks(self) -> bytes:
        """A body in chunks."""
        body = b""
        while True:
            line = self.upto(b"\r\n" if self.strict else b"\n").strip()
            try:
                size = int(line, 16)
            except ValueError:
                raise Bad("400 Bad Request") from None
            if self.strict and size > 2**20:
                raise Bad("413 Content Too Large")
            size %= 2**64
            body += self.exactly(size)
            end = self.upto(b"\r\n" if self.strict else b"\n")
            if self.strict and end:
                raise Bad("400 Bad Request")
            if not size:
                return body

    def upto(self, end: bytes) -> bytes:
        """Everything before ``end``."""
        while end not in self.buffer:
            self.more()
        found, _, self.buffer = self.buffer.partition(end)
        return found

    def exactly(self, size: int) -> bytes:
        """So many bytes."""
        while len(self.buffer) < size:
            self.more()
        found, self.buffer = self.buffer[:size], self.buffer[size:]
        return found

    def more(self) -> None:
        """Wait for more bytes."""
        data = self.sock.recv(65536)
        if not data:
            raise EOFError
        self.buffer += data


if __name__ == "__main__":
    made = Http(sys.argv[1], int(sys.argv[2]) if sys.argv[2:] else 8000)
    print(f"listening on {made.port}", file=sys.stderr, flush=True)
    made.serve()
