"""Signals: raised once, held back while something is being made, and never in the way of an end."""

from __future__ import annotations

import os
import signal
import sys
import threading
import weakref

import pytest

from mcp_sandbox import interrupts, proc

pytestmark = pytest.mark.usefixtures("armed")


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", interrupts.SIGNALS)
def test_the_first_is_raised_and_the_others_pass(number: int):
    with pytest.raises(KeyboardInterrupt):
        send(number)
    for other in interrupts.SIGNALS:
        send(other)


def test_one_that_comes_while_something_is_made_is_raised_afterwards():
    made = []

    def make() -> None:
        with interrupts.held():
            with interrupts.held():
                send(signal.SIGTERM)
                send(signal.SIGINT)
                made.append("inner")
            made.append("outer")

    with pytest.raises(KeyboardInterrupt):
        make()
    assert made == ["inner", "outer"]
    with interrupts.held():
        made.append("later")  # raised once only
    assert made[-1] == "later"


def test_one_that_is_lost_in_a_finalizer_is_raised_again():
    class Thing:
        pass

    def lose() -> None:
        thing = Thing()
        weakref.finalize(thing, send, signal.SIGTERM)
        del thing  # Python prints what is raised here, and goes on

    def go_on() -> None:
        lose()
        threading.Event().wait(30)

    with pytest.raises(KeyboardInterrupt):
        go_on()


def test_a_child_that_was_just_started_is_ended(monkeypatch: pytest.MonkeyPatch):
    started = []
    popen = proc.subprocess.Popen

    def start(*arguments: object, **options: object) -> object:
        process = popen(*arguments, **options)
        send(signal.SIGTERM)
        started.append(process)
        return process

    monkeypatch.setattr(proc.subprocess, "Popen", start)
    with pytest.raises(KeyboardInterrupt):
        proc.run([sys.executable, "-c", "input()"], environment={}, timeout=60)
    assert started[0].returncode == -signal.SIGKILL
