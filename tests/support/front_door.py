"""Runs the installed command as a user does, and says what it left behind.

``Door.run`` runs ``mcp-sandbox`` to its end, ``Door.start`` leaves it running. Every ``Door`` has a
label of its own on the engine (see ``own_label``), a HOME by which its processes are recognised,
and a folder for temporary files.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.corpus import TESTS

COMMAND = Path(sys.executable).with_name("mcp-sandbox")
QUICK = ("--cpus", "2", "--scanners", "none")
"""Options of a scan that is about the server: scanners have tests of their own."""
PATIENCE = 90.0
"""Seconds; only a broken test waits this long."""
PROMISED = 7.0
"""Seconds after a signal until everything is cleared away and the command has ended."""


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str
    folder: Path
    """Where its results went."""

    @property
    def report(self) -> dict[str, Any]:
        """The written ``report.json``."""
        found: dict[str, Any] = json.loads((self.folder / "report.json").read_bytes())
        return found

    def files(self) -> set[str]:
        """Names in the results folder."""
        return {path.name for path in self.folder.iterdir()}

    @property
    def sentence(self) -> str:
        """The one sentence on standard error."""
        return self._only("error: ")

    @property
    def way_out(self) -> str:
        """The one line that says what to do."""
        return self._only("  → ")

    @property
    def detail(self) -> str:
        """What stands between the two."""
        return self.err.partition("error: ")[2].partition("\n")[2].partition("  → ")[0]

    def _only(self, start: str) -> str:
        found = [line for line in self.err.splitlines() if line.startswith(start)]
        assert len(found) == 1, self.err
        return found[0].removeprefix(start)


class Running:
    """A command that runs; its standard error is read line by line."""

    def __init__(self, argv: list[str], environment: dict[str, str], folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            cwd=environment["HOME"],
            bufsize=0,
        )
        self._said = b""

    def wait_for(self, text: str) -> None:
        """Read standard error until a line holds ``text``."""
        assert self.process.stderr is not None
        deadline = time.monotonic() + PATIENCE
        while text.encode() not in self._said:
            rest = deadline - time.monotonic()
            ready, _, _ = select.select([self.process.stderr], [], [], max(0.0, rest))
            data = self.process.stderr.read(65536) if ready else b""
            assert data, f"no {text!r} in {self._said!r}"
            self._said += data

    def close(self) -> None:
        """Kill it when it still runs, and close what is left of its streams."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self, within: float = PATIENCE) -> Done:
        """Wait for its end; kill it and fail when it does not come in time."""
        try:
            out, err = self.process.communicate(timeout=within)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
            raise AssertionError(f"still running after {within} s: {err!r}") from None
        said = (self._said + err).decode()
        return Done(self.process.returncode, out.decode(), said, self.folder)


class Door:
    """Runs the command for one test."""

    def __init__(self, folder: Path, docker_host: str | None, *options: str) -> None:
        """``options`` are given to every ``scan``, unless the test gives others."""
        self.label = f"dev.mcp-sandbox.test-{secrets.token_hex(4)}"
        self.home, self.temporary, self.out = folder / "home", folder / "tmp", folder / "out"
        for made in (self.home, self.temporary):
            made.mkdir()
        self.options = options
        self._started: list[Running] = []
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "PYTHONPATH": str(TESTS / "support" / "own_label"),
            "MCP_SANDBOX_TEST_LABEL": self.label,
        }
        if docker_host is not None:
            self.environment["DOCKER_HOST"] = docker_host

    def argv(self, *arguments: object) -> list[str]:
        """The whole command line; ``scan`` gets ``--out`` and the default options."""
        words = [str(word) for word in arguments]
        if words[:1] == ["scan"]:
            out = [] if "--out" in words else ["--out", str(self.out)]
            words[1:1] = [*self.options, *out]
        return [str(COMMAND), *words]

    def start(self, *arguments: object, under: Sequence[str] = (), **environment: str) -> Running:
        """Start a command with these variables too, by the command ``under`` if there is one."""
        argv = [*under, *self.argv(*arguments)]
        out = Path(argv[len(argv) - 1 - argv[::-1].index("--out") + 1]) if "--out" in argv else None
        running = Running(argv, self.environment | environment, out or self.out)
        self._started.append(running)
        return running

    def run(self, *arguments: object, under: Sequence[str] = (), **environment: str) -> Done:
        """Run a command to its end."""
        return self.start(*arguments, under=under, **environment).end()

    def close(self) -> None:
        """End what a test that failed left running."""
        for running in self._started:
            running.close()

    def processes(self) -> list[str]:
        """Command lines of living processes that have this door's HOME."""
        mark = f"HOME={self.home}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
        return found

    def left_here(self) -> list[str]:
        """Processes and temporary files."""
        return self.processes() + [path.name for path in self.temporary.iterdir()]
