"""Calls per second of our prober over streamable HTTP, beside a bare ``httpx2`` loop.

``python benchmarks/over_http.py [--pairs N] [--calls N]``. Both ask the same server (the SDK's,
one process for all rounds, on loopback) the same calls; the rounds alternate. Prints Markdown.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from mcp_sandbox.model import Era, Identity, Place, Transport  # noqa: E402
from mcp_sandbox.planted import Matcher, make  # noqa: E402
from mcp_sandbox.probe.http.stream import HttpStream  # noqa: E402
from mcp_sandbox.probe.inputs import Targets  # noqa: E402
from mcp_sandbox.probe.plan import Plan  # noqa: E402
from mcp_sandbox.probe.session import run  # noqa: E402
from support.http_peer import SocketConnection  # noqa: E402

SERVER = """
import sys
from mcp.server import MCPServer
server = MCPServer("echo", log_level="ERROR")
def echo(text: str) -> str:
    return text
for number in range(20):
    server.tool(name=f"echo_{number}")(echo)
server.run("streamable-http", port=int(sys.argv[1]), host="127.0.0.1")
"""
ACCEPT = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


def free_port() -> int:
    """A port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@contextlib.contextmanager
def server() -> Iterator[int]:
    """The server's port, once it listens."""
    port = free_port()
    with subprocess.Popen([sys.executable, "-c", SERVER, str(port)]) as process:
        try:
            while process.poll() is None:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.05)
            yield port
        finally:
            process.terminate()


def ours(port: int, calls: int) -> tuple[list[bytes], float]:
    """The lines of the calls that our prober made, and the seconds they took."""
    bait = make("benchmark", home="/root")
    matcher = Matcher(bait)
    sent: list[bytes] = []
    marks: list[float] = []

    def record(direction: str, data: bytes) -> None:
        if b'"tools/call"' in data and direction == "out":
            sent.append(data)
            marks.append(time.perf_counter())
        elif sent:
            marks.append(time.perf_counter())

    stream = HttpStream(
        Place(Transport.HTTP, port, "/mcp"),
        SocketConnection,
        era=Era.HANDSHAKE,
        agent="benchmark/1",
        call_timeout=30,
    )
    plan = Plan(
        role="main",
        era=Era.HANDSHAKE,
        identity=Identity("benchmark", "1"),
        targets=Targets(seed=0),
        start_timeout=30,
        call_timeout=30,
        session_timeout=600,
        max_calls=calls,
    )
    try:
        transcript = run(stream, plan, find=matcher.find, mask=matcher.mask, record=record)
    finally:
        stream.close()
    if len(transcript.calls) < calls // 2:
        raise SystemExit(f"only {len(transcript.calls)} calls: {transcript.end_detail}")
    first, last = sent[0], sent[-1]
    begin = marks[0]
    end = max(marks[: 2 * len(sent)])
    assert first
    assert last
    return sent, end - begin


def bare(port: int, lines: list[bytes]) -> float:
    """Seconds that the same lines take in a loop that posts, reads and decodes."""
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", headers=ACCEPT, timeout=30) as client:
        opening = {
            "jsonrpc": "2.0",
            "id": 0,
            "method": "initialize",
            "params": {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "bare", "version": "1"},
            },
        }
        answer = client.post("/mcp", json=opening)
        client.headers["Mcp-Session-Id"] = answer.headers["mcp-session-id"]
        client.headers["MCP-Protocol-Version"] = "2025-11-25"
        client.post("/mcp", json={"jsonrpc": "2.0", "method": "notifications/initialized"})
        begin = time.perf_counter()
        for line in lines:
            reply = client.post("/mcp", content=line)
            text = reply.text
            json.loads(text.partition("data: ")[2] if text.startswith(("event", "id")) else text)
        return time.perf_counter() - begin


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--calls", type=int, default=400)
    options = parser.parse_args()
    ratios, speeds = [], []
    with server() as port:
        ours(port, options.calls)  # warm
        for _ in range(options.pairs):
            lines, seconds = ours(port, options.calls)
            reference = bare(port, lines)
            ratios.append(reference / seconds)
            speeds.append((len(lines) / seconds, len(lines) / reference))
    mine, theirs = (statistics.median(one) for one in zip(*speeds, strict=True))
    print("| prober | bare httpx2 loop | ratio, median | from | to |")
    print("| --- | --- | --- | --- | --- |")
    print(
        f"| {mine:.0f} calls/s | {theirs:.0f} calls/s | {statistics.median(ratios):.2f} "
        f"| {min(ratios):.2f} | {max(ratios):.2f} |"
    )


if __name__ == "__main__":
    main()
