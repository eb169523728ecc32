"""Runs servers of the corpus, one forked child per job; see ``support.corpus.run``.

Reads a JSON array of jobs from standard input, writes one JSON outcome a line. A job holds ``id``,
``kind`` (``raw`` or ``probe``), ``command``, and for ``probe`` the fields of a ``Plan``.
"""

from __future__ import annotations

import base64
import json
import os
import re
import select
import selectors
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from support.family import adopt_orphans, descendants, end_descendants
from support.stream import PipeStream

AT_ONCE = 4
JOB_S = 60.0
"""A job that takes longer is killed: the prober, or the harness, hangs."""
QUIET_S = 1.0
"""Silence after which a server that ought to live on is left; others are waited for."""
TICK_S = 0.1
RAW_BYTES = 80 * 10**6
"""The raw script reads no more than this."""

Job = dict[str, Any]


def start(job: Job) -> subprocess.Popen[bytes]:
    """Start the job's server with pipes, in a session of its own."""
    return subprocess.Popen(
        job["command"],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
    )


# --- raw: a fixed script, no prober ---------------------------------------------------------------


def raw(job: Job) -> Job:
    """Send ``lines``, close standard input, and say what came back and what lived on.

    ``found`` are those of the job's ``patterns`` that the output matches; ``lives_on`` says that no
    end is expected; ``watch`` is for how many seconds at most the output is read.
    """
    quiet = QUIET_S if job["lives_on"] else JOB_S
    enough = time.monotonic() + job["watch"]
    server = start(job)
    stream = PipeStream(server)
    pending = memoryview("".join(line + "\n" for line in job["lines"]).encode())
    output = bytearray()
    ended = False
    idle = 0.0
    while not ended and len(output) < RAW_BYTES and time.monotonic() < enough:
        readable, writable, _ = select.select(
            [stream], [stream.write_fileno()] if pending else [], [], TICK_S
        )
        idle = 0.0 if readable or writable else idle + TICK_S
        # A daemon of the server may hold its output open, so that it has no end.
        if idle > quiet or (idle and server.poll() is not None):
            break
        if writable:
            try:
                pending = pending[stream.send(pending) :]
            except BrokenPipeError:
                pending = pending[:0]
            if not pending:
                stream.close_write()
        data = stream.recv() if readable else None
        ended = data == b""
        output += data or b""
    code: int | None
    try:
        code = server.wait(0 if job["lives_on"] and not ended else quiet)
    except subprocess.TimeoutExpired:
        code = None
    patterns = {pattern: re.compile(pattern.encode(), re.DOTALL) for pattern in job["patterns"]}
    return {
        "bytes": len(output),
        "head": base64.b64encode(output[:2000]).decode(),
        "tail": base64.b64encode(output[-500:]).decode(),
        "found": [name for name, pattern in patterns.items() if pattern.search(output)],
        "ended": ended,
        "exit": code,
        "left": outlived(server.pid),
    }


def outlived(server: int) -> int:
    """How many of a server's processes do not end with it; a busy machine is slow to end them."""
    enough = time.monotonic() + QUIET_S
    while left := len([process for process in descendants() if process != server]):
        if time.monotonic() > enough:
            break
        time.sleep(TICK_S)
    return left


# --- probe: our prober ----------------------------------------------------------------------------


def memory(field: str) -> int:
    """A field of ``/proc/self/status`` in bytes: VmRSS now, VmHWM at its highest."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(field + ":")[2].split()[0]) * 1024


def probe(job: Job) -> Job:
    """Run our prober on the server and say what it saw and how much memory it took."""
    from support.probing import hold, summary  # noqa: PLC0415 - raw jobs need no prober

    Path("/proc/self/clear_refs").write_text("5")  # the highest use of memory starts anew
    before = memory("VmRSS")
    server = start(job)
    transcript, recorded = hold(PipeStream(server), job["plan"])
    peak = memory("VmHWM") - before
    return summary(transcript) | {"peak": peak, "recorded": recorded, "pid": server.pid}


# --- one child per job ----------------------------------------------------------------------------


def child(job: Job, result: int) -> None:
    """Do one job in this process and write its outcome; never returns."""
    adopt_orphans()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    began = time.monotonic()
    try:
        outcome = {"raw": raw, "probe": probe}[job["kind"]](job)
    except Exception:  # noqa: BLE001 - the outcome is the traceback, and the test is red
        outcome = {"error": traceback.format_exc()}
    end_descendants()
    outcome |= {"id": job["id"], "alive": len(descendants())}
    outcome["seconds"] = round(time.monotonic() - began, 2)
    with os.fdopen(result, "w") as stream:
        stream.write(json.dumps(outcome))
    os._exit(0)


def main() -> None:
    """Do all jobs, a few at a time."""
    jobs = json.load(sys.stdin)
    if any(job["kind"] == "probe" for job in jobs):
        import support.probing  # noqa: F401, PLC0415 - imported once, before the forks
    adopt_orphans()
    jobs.reverse()
    running: dict[int, tuple[int, Job, bytearray, float]] = {}
    selector = selectors.DefaultSelector()
    while jobs or running:
        while jobs and len(running) < AT_ONCE:
            job = jobs.pop()
            reading, writing = os.pipe()
            process = os.fork()
            if not process:
                os.close(reading)
                child(job, writing)
            os.close(writing)
            running[reading] = (process, job, bytearray(), time.monotonic() + JOB_S)
            selector.register(reading, selectors.EVENT_READ)
        ready = {key.fd for key, _ in selector.select(1.0)}
        for reading, (process, job, output, deadline) in list(running.items()):
            data = os.read(reading, 2**16) if reading in ready else None
            output.extend(data or b"")
            late = time.monotonic() > deadline
            if late:
                os.kill(process, signal.SIGKILL)
            if data == b"" or late:
                os.waitpid(process, 0)
                selector.unregister(reading)
                os.close(reading)
                del running[reading]
                failed = {"id": job["id"], "error": f"killed after {JOB_S} s" if late else "died"}
                print(output.decode() if data == b"" and output else json.dumps(failed), flush=True)
    end_descendants()


if __name__ == "__main__":
    main()
