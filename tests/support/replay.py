"""Sends the lines of a finding to the server that its command starts, as a person would."""

from __future__ import annotations

import json
import re
import selectors
import subprocess
import time
from collections.abc import Callable, Iterable
from typing import Any

from mcp_sandbox.model import Finding

Again = Callable[[Finding, str], bool]
"""Whether the replies (all text of them, decoded) show what the finding says."""


def replay(command: Iterable[str], lines: Iterable[str], patience: float = 30.0) -> str:
    """All texts that the server answers to ``lines``, one a line.

    Standard input stays open until the last request is answered, because servers end with it.
    """
    sent = [json.loads(line) for line in lines]
    waiting = {message["id"] for message in sent if "id" in message}
    process = subprocess.Popen(
        [*command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with process, selectors.DefaultSelector() as selector:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write("".join(json.dumps(one) + "\n" for one in sent).encode())
            process.stdin.flush()
            selector.register(process.stdout, selectors.EVENT_READ)
            deadline = time.monotonic() + patience
            raw, said = b"", []
            while waiting:
                assert selector.select(max(0.0, deadline - time.monotonic())), "no answer in time"
                piece = process.stdout.read1(2**16)
                assert piece, f"the server ended before it had answered {waiting}"
                *whole, raw = (raw + piece).split(b"\n")
                for line in whole:
                    message = json.loads(line)
                    waiting.discard(message.get("id"))
                    said += _texts(message.get("result", message.get("error")))
            process.stdin.close()
            process.wait(timeout=20)
        finally:
            process.kill()
    return "\n".join(said)


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
