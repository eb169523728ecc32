"""Why a server that answered lists no tools, as the report tells it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mcp_sandbox.model import (
    Act,
    ItemKind,
    KernelEvent,
    Listing,
    Moment,
    Session,
    SessionEnd,
    SinkEvent,
    SinkKind,
)
from mcp_sandbox.model.launch import StartReason
from mcp_sandbox.pipeline.running import Held
from mcp_sandbox.pipeline.starting import tell_unlisted
from mcp_sandbox.sandbox import NOTHING_GIVEN
from mcp_sandbox.settings import load
from support.observed import session

TOOLS: Any = SimpleNamespace(
    settings=load({"image": "i"}), image=None, machine="x86_64", given=NOTHING_GIVEN
)
MYSQL = KernelEvent(Act.CONNECT, "127.0.0.1:3306", "EINPROGRESS", detail="TCP")
REFUSED = "answered by error -32603: fetch failed"


def told(one: Session) -> tuple[StartReason | None, str]:
    held = Held(sessions=[one])
    tell_unlisted(TOOLS, held)
    return held.launch.reason, held.launch.why


def broken(state: str, *, items: tuple[Any, ...] = (), **container: Any) -> Session:
    listing = Listing(ItemKind.TOOLS, Moment.BEFORE, items, state)
    end = SessionEnd.EXITED if container.get("exit_code") else SessionEnd.COMPLETED
    return session(listings=(listing,), end=end, container=container)


def test_one_that_ends_for_want_of_a_service_names_it():
    reason, why = told(broken("broke off: closed", exit_code=1, kernel=(MYSQL,)))
    assert reason is StartReason.NEEDS_NETWORK
    assert "it asked for 127.0.0.1:3306" in why
    assert "sidecar" in why


def test_a_port_of_its_own_is_no_service():
    own = KernelEvent(Act.LISTEN, "0.0.0.0:3306")
    reason, why = told(broken("broke off: closed", exit_code=1, kernel=(MYSQL, own)))
    assert reason is StartReason.EXITED
    assert "3306" not in why


def test_one_that_asks_the_network_for_its_list():
    asked = SinkEvent(SinkKind.TCP, host="api.acme.example", port=443)
    reason, why = told(broken(REFUSED, sink=(asked,)))
    assert reason is StartReason.NEEDS_NETWORK
    assert "api.acme.example" in why


@pytest.mark.parametrize(
    "one",
    [
        session(),
        session(listings=()),
        broken("complete", exit_code=1, kernel=(MYSQL,)),
        broken("not offered", exit_code=1, kernel=(MYSQL,)),
        broken(REFUSED, items=({"name": "find"},)),
        broken("answered by error -32603: Internal error"),
    ],
)
def test_nothing_is_told_of_a_list_that_is_there_or_of_what_nothing_tells(one: Session):
    assert told(one) == (None, "")
