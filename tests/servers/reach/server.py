"""A server that is reached in several ways, or by nobody without a token; the argument says which.

``both``: standard streams, streamable HTTP at ``/mcp`` and the older transport at ``/sse``; over
HTTP a tool more. ``token``: HTTP alone, for who has the token; its metadata is wrong in many ways.
``any-token``: the same, and it takes every token. ``silent``: listens, and speaks no MCP there.
"""

from __future__ import annotations

import json
import socket
import sys
import threading

PORT = 3124
TOKEN = "Bearer let-me-in"
TEXT = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
ECHO = {"name": "echo", "description": "Says a text again.", "inputSchema": TEXT}
RESET = {"name": "reset", "description": "Forgets everything.", "inputSchema": {"type": "object"}}
RESOURCE = "/.well-known/oauth-protected-resource/mcp"
METADATA = {
    RESOURCE: {
        "resource": f"http://localhost:{PORT}/other",
        "authorization_servers": [f"http://localhost:{PORT}", "https://login.example"],
        "scopes_supported": ["*"],
    },
    "/.well-known/oauth-authorization-server": {
        "issuer": "https://elsewhere.example",
        "authorization_endpoint": "http://login.example/authorize",
        "token_endpoint": "https://login.example/token",
        "response_types_supported": ["code"],
    },
}


def answer(message, tools):
    """The result for a request; ``None`` for what needs none, or is not known."""
    method, params = message.get("method"), message.get("params") or {}
    if method == "initialize":
        return {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "reach", "version": "1"},
        }
    if method == "tools/list":
        return {"tools": tools}
    if method == "tools/call" and params.get("name") in {tool["name"] for tool in tools}:
        text = str((params.get("arguments") or {}).get("text", "done"))
        return {"content": [{"type": "text", "text": text}]}
    return {} if method == "ping" else None


def replied(message, tools):
    """The whole answer, as bytes; empty for a notification."""
    if "id" not in message or "method" not in message:
        return b""
    result = answer(message, tools)
    body = {"jsonrpc": "2.0", "id": message["id"]}
    if result is None:
        body["error"] = {"code": -32601, "message": "Method not found"}
    else:
        body["result"] = result
    return json.dumps(body).encode()


def read(stream):
    """A request: method, path, headers, body; ``None`` at the end."""
    first = stream.readline().decode("latin-1").split()
    if len(first) != 3:
        return None
    headers = {}
    while (line := stream.readline().decode("latin-1").strip()) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return first[0], first[1], headers, stream.read(int(headers.get("content-length", 0)))


def respond(sock, status, body=b"", *more):
    """A whole answer."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *more]
    if body:
        lines.append("Content-Type: application/json")
    sock.sendall("\r\n".join([*lines, "", ""]).encode() + body)


OLDER = {}
"""Number of a stream of the older transport -> its connection."""


def older(sock):
    """The older transport's stream, until its client leaves."""
    number = len(OLDER)
    OLDER[str(number)] = sock
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
    sock.sendall(b"event: endpoint\ndata: /messages?s=%d\n\n" % number)
    while sock.recv(4096):
        pass


def serve(mode, sock):
    """One connection."""
    stream = sock.makefile("rb")
    while request := read(stream):
        method, path, headers, body = request
        wants_token = mode in {"token", "any-token"}
        given = headers.get("authorization", "")
        if wants_token and path in METADATA:
            respond(sock, 200, json.dumps(METADATA[path]).encode())
        elif wants_token and (not given if mode == "any-token" else given != TOKEN):
            where = f'resource_metadata="http://localhost:{PORT}{RESOURCE}"'
            respond(sock, 401, b"", f"WWW-Authenticate: Bearer {where}")
        elif mode == "both" and (method, path) == ("GET", "/sse"):
            older(sock)
        elif mode == "both" and path.startswith("/messages?s="):
            if said := replied(json.loads(body), [ECHO, RESET]):
                OLDER[path.partition("=")[2]].sendall(b"data: " + said + b"\n\n")
            respond(sock, 202)
        elif mode == "silent" or path != "/mcp":
            respond(sock, 404)
        elif method != "POST":
            respond(sock, 405)
        elif said := replied(json.loads(body), [ECHO, RESET]):
            respond(sock, 200, said)
        else:
            respond(sock, 202)


def connection(mode, sock):
    """One connection; whoever breaks it off only breaks this one."""
    with sock:
        try:
            serve(mode, sock)
        except (OSError, ValueError):
            return


def listen(mode):
    """Accept connections for ever."""
    listener = socket.create_server(("127.0.0.1", PORT))
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=connection, args=(mode, sock), daemon=True).start()


def main(mode):
    """Serve in the ways of a mode."""
    if mode in {"token", "any-token"}:
        listen(mode)
    threading.Thread(target=listen, args=(mode,), daemon=True).start()
    for line in sys.stdin.buffer:
        if said := replied(json.loads(line), [ECHO]):
            sys.stdout.buffer.write(said + b"\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1])
