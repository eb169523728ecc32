"""Older lock files become today's, one version at a time."""

from __future__ import annotations

import json

import pytest

from mcp_sandbox.baseline import file, migrate
from mcp_sandbox.errors import BaselineUnreadable
from mcp_sandbox.model.locked import LOCK_VERSION, Behaviour

OLD = {
    "version": 0,
    "scanner": "0.0.1",
    "profile": "default",
    "network": "sink",
    "tls": "observe",
    "launch": {},
    "ceilings": {"memory": 1, "cpus": 1, "pids": 1, "relaxation": "none"},
    "start": {"programs": ["node"]},
}
"""As a version before the first might have been: behaviour of start-up under a key of its own."""


def _step(document: migrate.Document) -> migrate.Document:
    changed = dict(document)
    changed["behaviour"] = {"start-up": changed.pop("start")}
    return changed


def test_a_file_of_an_older_version_is_read(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(migrate.STEPS, 0, _step)
    lock = file.load(json.dumps(OLD).encode(), "a.json")
    assert lock.version == LOCK_VERSION
    assert lock.behaviour == {"start-up": Behaviour(programs=("node",))}


def test_steps_follow_one_another():
    steps = {
        1: lambda document: {**document, "one": document["version"]},
        2: lambda document: {**document, "two": document["version"]},
    }
    assert migrate.migrated({"version": 1}, "a.json", steps=steps, newest=3) == {
        "version": 3,
        "one": 1,
        "two": 2,
    }


def test_what_nobody_reads_any_more_is_told():
    with pytest.raises(BaselineUnreadable, match=r"a\.json is of version 1, which is no longer"):
        migrate.migrated({"version": 1}, "a.json", steps={}, newest=2)


def test_today_is_left_as_it_is():
    document = {"version": LOCK_VERSION, "anything": 1}
    assert migrate.migrated(document, "a.json") == document
