"""Sends the lines of a finding to the server that its command starts, as a person would."""

from __future__ import annotations

import json
import re
import selectors
import subprocess
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from mcp_sandbox.model import Finding

Again = Callable[[Finding, str], bool]
"""Whether the replies (all text of them, decoded) show what the finding says."""


def replay(command: Iterable[str], lines: Iterable[str], patience: float = 30.0) -> str:
    """All texts that the server answers to ``lines``, one a line.

    Each request is sent when the one before it is answered. Standard input stays open until the
    last answer, because servers end with it.
    """
    process = subprocess.Popen(
        [*command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with process, selectors.DefaultSelector() as selector:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            selector.register(process.stdout, selectors.EVENT_READ)
            deadline = time.monotonic() + patience
            raw, said = b"", []
            for line in lines:
                process.stdin.write(line.encode() + b"\n")
                process.stdin.flush()
                waiting = json.loads(line).get("id")
                while waiting is not None:
                    left = max(0.0, deadline - time.monotonic())
                    assert selector.select(left), "no answer in time"
                    piece = process.stdout.read1(2**16)
                    assert piece, f"the server ended before it had answered {waiting}"
                    *whole, raw = (raw + piece).split(b"\n")
                    for answer in map(json.loads, whole):
                        if answer.get("id") == waiting:
                            waiting = None
                        said += _texts(answer.get("result", answer.get("error")))
            process.stdin.close()
            process.wait(timeout=20)
        finally:
            process.kill()
    return "\n".join(said)


KEY = "no-real-key"
"""What stands where a secret would: the replayed container has no planted ones."""


def with_settings(command: tuple[str, ...], **settings: str) -> tuple[str, ...]:
    """The same ``docker run …``, with variables of the server's environment set."""
    options = [f"--env={name}={value}" for name, value in settings.items()]
    return (*command[:2], *options, *command[2:])


def stolen(finding: Finding) -> str:
    """What arrives at the red example's collector when a finding is sent again.

    The collector is a container of the same image, and the server's is in its network: a name of
    ``.example`` leads nowhere else. The key that is to be stolen is written by the server itself,
    through its hole 2, before the finding's own lines.
    """
    docker, image = finding.command[0], finding.command[-1]
    listener = f"collector-{uuid.uuid4().hex[:12]}"
    command = [*with_settings(finding.command, HOME="/tmp")]
    command[command.index("--network") + 1] = f"container:{listener}"
    hostname = command.index("--hostname")  # goes with a network of one's own only
    del command[hostname : hostname + 2]
    *opening, last = finding.reproducer
    plant = f"x; mkdir /tmp/.ssh; echo {KEY} > /tmp/.ssh/id_rsa #"
    call = {"name": "check_host", "arguments": {"host": plant}}
    first = {"jsonrpc": "2.0", "id": "plant", "method": "tools/call", "params": call}
    listen = [docker, "run", "--rm", "--name", listener, "--network", "none"]
    listen += [f"--add-host={name}:127.0.0.1" for name in ("collector.example", _WHOLE_NAME)]
    listen += ["--entrypoint", "/venv/bin/python", image, "-c", _COLLECTOR]
    with subprocess.Popen(listen, stdout=subprocess.PIPE, text=True) as collector:
        assert collector.stdout is not None
        try:
            assert collector.stdout.readline() == "ready\n"
            replay(command, [*opening, json.dumps(first), last])
        finally:
            subprocess.run([docker, "kill", listener], check=False, capture_output=True)
        return collector.stdout.read()


_WHOLE_NAME = "collector.example."
_COLLECTOR = """
import http.server

class Collector(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_POST(self):
        print(self.rfile.read(int(self.headers["Content-Length"])).decode(), flush=True)
        self.send_response(204)
        self.end_headers()

server = http.server.HTTPServer(("127.0.0.1", 80), Collector)
print("ready", flush=True)
server.serve_forever()
"""


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def product(finding: Finding, said: str) -> bool:
    """The reply holds a product of which the request holds the factors only."""
    request = finding.reproducer[-1]
    factors = re.search(r"([0-9]{5,})\s*\\*\s*\*\s*([0-9]{5,})", request)
    assert factors is not None, request
    result = str(int(factors[1]) * int(factors[2]))
    return result in said and result not in request


def password_file(_: Finding, said: str) -> bool:
    """The original image's password file; the planted line is not in it."""
    return re.search(r"^root:[^:\n]*:0:0:", said, re.MULTILINE) is not None


def environment(_: Finding, said: str) -> bool:
    """The server's environment; the planted variables are not in it."""
    return re.search(r"(^|\0)PATH=/", said, re.MULTILINE) is not None


def token(_: Finding, said: str) -> bool:
    """The variable that the replayed container is given instead of the planted one."""
    return KEY in said


def echoed(finding: Finding, said: str) -> bool:
    """The words that the shell in the message is told to print."""
    words = re.search(r"-c 'echo ([\w ]+);", finding.message)
    assert words is not None, finding.message
    return words[1] in said


def tried(_: Finding, said: str) -> bool:
    """The server did not refuse the address; the container that is replayed has no network."""
    return "Network is unreachable" in said


def quoted(finding: Finding, said: str) -> bool:
    """All that the message quotes, but what it quotes of the request; spacing is free."""
    return all(_quotes(finding, said))


def partly_quoted(finding: Finding, said: str) -> bool:
    """One thing at least, where a message lists what several calls brought."""
    return any(_quotes(finding, said))


def _quotes(finding: Finding, said: str) -> list[bool]:
    quotes = re.findall(r"“([^”]+)”", finding.message)
    assert quotes, finding.message
    plain, asked = (" ".join(text.lower().split()) for text in (said, finding.reproducer[-1]))
    told = [" ".join(one.rstrip("…").lower().split()) for one in quotes]
    answers = [one for one in told if one not in asked]
    assert answers, finding.message
    return [one in plain for one in answers]


def reflected(finding: Finding, said: str) -> bool:
    """What was sent comes back word for word."""
    arguments = json.loads(finding.reproducer[-1])["params"]["arguments"]
    return any(isinstance(one, str) and len(one) > 15 and one in said for one in arguments.values())


# --- lines of the evidence files ------------------------------------------------------------------


def _answer(line: str) -> str:
    """A line of the conversation, when the server sent it."""
    entry = json.loads(line)
    return str(entry["line"]) if entry["dir"] == "in" else ""


def planted_answer(finding: Finding, line: str) -> bool:
    """An answer holds what was planted at every place that the message names."""
    told = re.search(r" planted (?:value|content) of (.+?)\.(?: \(|$)", finding.message)
    assert told is not None, finding.message
    return all(f"<planted:{one}>" in _answer(line) for one in told[1].split(", "))


def product_answer(finding: Finding, line: str) -> bool:
    """An answer holds the computed number, which the request did not."""
    (number,) = re.findall(r"the computed ([0-9]+)", finding.message)
    return number not in finding.reproducer[-1] and number in _answer(line)


def metadata_request(finding: Finding, line: str) -> bool:
    """A request at the address of the metadata service, with the nonce that the call carried."""
    arrived = json.loads(line)
    (nonce,) = re.findall(r"\?([a-z0-9]{12})\b", finding.reproducer[-1])
    return (
        arrived["event"] == "http"
        and arrived["address"] == "169.254.169.254"
        and nonce in arrived["text"]
    )


def planted_request(_: Finding, line: str) -> bool:
    """A request to the collector holds the planted key."""
    arrived = json.loads(line)
    return (
        arrived["event"] == "http"
        and arrived["host"] == "collector.example"
        and "<planted:file:/.ssh/id_rsa>" in arrived["text"]
    )


def opened(_: Finding, line: str) -> bool:
    """The kernel opened the key: the path behind the descriptor is its own word."""
    return re.search(r" openat\(.* = [0-9]+</\.ssh/id_rsa>$", line) is not None
