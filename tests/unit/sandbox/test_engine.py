"""An engine that stops answering, and the helper's flags; the rest needs a real engine."""

from __future__ import annotations

import http.server
import json
import os
import signal
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcp_sandbox import sandbox as sandbox_module
from mcp_sandbox.errors import EngineFailed, EngineUnavailable
from mcp_sandbox.model import ImageFacts, LaunchFacts, Limits
from mcp_sandbox.sandbox import Engine, Sandbox
from mcp_sandbox.sandbox.engine import Making
from mcp_sandbox.sandbox.helper import End, HelperSpec


class HalfGone(http.server.BaseHTTPRequestHandler):
    """Tells its version, and then nothing more."""

    silence = threading.Event()
    answered = False

    def do_GET(self) -> None:
        if not self.path.endswith("/version"):
            self.silence.wait(30)
            type(self).answered = True
            return
        body = json.dumps({"ApiVersion": "1.45"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "engine"

    def log_message(self, *_: object) -> None:
        pass


class Listener(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    pass


@pytest.fixture
def half_gone(tmp_path: Path) -> Iterator[str]:
    path = tmp_path / "engine.sock"
    HalfGone.silence, HalfGone.answered = threading.Event(), False
    with Listener(str(path), HalfGone) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"unix://{path}"
        HalfGone.silence.set()
        server.shutdown()
        thread.join()


def test_leaving_a_sandbox_does_not_wait_for_an_engine_that_is_half_gone(
    half_gone: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sandbox_module, "EXIT_TIMEOUT", 0.2)
    image = ImageFacts("x", "sha256:x", LaunchFacts())
    with Engine(half_gone) as engine:
        opened = Sandbox(
            engine, image, run_id="r", limits=Limits(), extra_env=(), extra_args=(),
            helper_image="h", lifetime=1,
        )  # fmt: skip
        with pytest.raises(EngineUnavailable, match="stopped answering"), opened:
            pass
    # The engine has still not answered: it was not waited for.
    assert not HalfGone.answered


def test_what_was_asked_for_is_waited_for_when_interrupted():
    made = []

    def ask() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        # The interruption has long been raised by the end of this.
        made.append(sum(range(5_000_000)))

    with pytest.raises(KeyboardInterrupt):
        Making().made(ask)
    assert len(made) == 1
    assert Making().made(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        Making().made(lambda: 1 // 0)


def test_nothing_is_made_once_a_run_is_broken_off_and_what_was_begun_is_waited_for():
    making = Making()
    begun, go_on = threading.Event(), threading.Event()
    made: list[str] = []

    def ask() -> None:
        begun.set()
        go_on.wait()
        made.append("first")

    first = threading.Thread(target=making.made, args=(ask,))
    first.start()
    begun.wait()
    refusing = threading.Thread(target=making.refuse)
    refusing.start()
    go_on.set()
    refusing.join()
    assert made == ["first"]
    with pytest.raises(EngineFailed, match="broken off"):
        making.made(lambda: made.append("second"))
    assert made == ["first"]
    first.join()


def test_the_helper_gets_two_capabilities_and_no_more():
    spec = HelperSpec("image", "server-id", ("/tmp", "/data"), {"l": "1"})
    host = spec.body()["HostConfig"]
    assert isinstance(host, dict)
    assert (host["CapDrop"], host["CapAdd"]) == (["ALL"], ["SYS_PTRACE", "DAC_READ_SEARCH"])
    assert (host["NetworkMode"], host["ReadonlyRootfs"]) == ("none", True)
    assert host["PidMode"] == "container:server-id"
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["Memory"] == host["MemorySwap"] == 64 * 2**20
    assert not {"Binds", "Mounts", "Tmpfs"} & set(host)
    command = spec.body()["Cmd"]
    assert isinstance(command, list)
    assert command[1:] == ["./tmp", "./data"]


def test_the_helper_that_ends_a_server_may_send_signals_and_nothing_else():
    body = HelperSpec("image", "server-id", end=End.ASK, main=9).body()
    host = body["HostConfig"]
    assert isinstance(host, dict)
    assert (host["CapDrop"], host["CapAdd"]) == (["ALL"], ["KILL"])
    assert host["PidMode"] == "container:server-id"
    assert body["Cmd"] == ["ask", "9"]
