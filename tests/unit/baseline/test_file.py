"""The lock file: written to the byte, read strictly, and readable in a review."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mcp_sandbox.baseline import file, shape, strict
from mcp_sandbox.errors import BaselineUnreadable, ExitCode
from mcp_sandbox.model import ItemKind, Network, Profile, Relaxation, Tls
from mcp_sandbox.model.locked import (
    LOCK_VERSION,
    Behaviour,
    Ceilings,
    Item,
    Launch,
    Lock,
)

NAME = "mcp-sandbox.lock.json"


def item(name: str = "find", description: str = "Find a thing.", **definition: Any) -> Item:
    one = Item(ItemKind.TOOLS, name, "", "Find", description, definition)
    return replace(one, digest=file.digest(one))


LOCK = Lock(
    scanner="0.6.0",
    server={"name": "things", "version": "1.0"},
    capabilities={"tools": {"listChanged": False}},
    instructions="Use find.\nThen read.",
    items=(item("find", inputSchema={"type": "object"}), item("read", "First.\n\nSecond.")),
    behaviour={
        "start-up": Behaviour(programs=("node",)),
        "tools/find": Behaviour(endpoints=("<argument>", "api.example:443"), reads=("/data/x",)),
    },
    launch=Launch(entrypoint=("node", "server.js"), environment=("A=1", "B=2")),
    ceilings=Ceilings(256 * 2**20, 0.5, 128),
    score=96.5,
    normalised=("tools/find: times of day are left out.",),
    uncalled=("tools/odd",),
)


def test_it_reads_back_and_writes_the_same_bytes():
    data = file.dump(LOCK)
    assert file.load(data, NAME) == LOCK
    assert file.dump(file.load(data, NAME)) == data
    assert data.endswith(b"}\n")


def test_the_order_in_which_things_were_learned_does_not_show():
    turned = replace(
        LOCK,
        items=LOCK.items[::-1],
        behaviour=dict(reversed(LOCK.behaviour.items())),
        server={"version": "1.0", "name": "things"},
    )
    assert file.dump(turned) == file.dump(LOCK)


def test_every_line_of_a_description_is_a_line_of_the_file():
    text = file.dump(LOCK).decode()
    assert '        "First.",\n        "",\n        "Second."\n' in text


@pytest.mark.parametrize(
    ("hidden", "shown"),
    [
        ("\u200b", r"\u200b"),
        ("\u202e", r"\u202e"),
        ("\x1b", r"\u001b"),
        ("\x7f", r"\u007f"),
        ("\ufe0f", r"\ufe0f"),
        ("\u3164", r"\u3164"),
        ("\U000e0041", r"\udb40\udc41"),
        ("\u2028", r"\u2028"),
        ("\u00a0", r"\u00a0"),
    ],
)
def test_what_is_not_seen_stands_as_its_escape(hidden: str, shown: str):
    lock = replace(LOCK, instructions=f"a{hidden}b", items=(item(f"x{hidden}", f"y{hidden}"),))
    data = file.dump(lock)
    text = data.decode()
    assert f"a{shown}b" in text
    assert hidden not in text
    assert file.load(data, NAME) == lock


@pytest.mark.parametrize("seen", ["é", "日本語", "Ω", "🙂", "«»"])
def test_letters_of_any_script_are_readable(seen: str):
    assert seen in file.dump(replace(LOCK, instructions=seen)).decode()


def test_half_a_surrogate_pair_is_no_name_and_stays_a_text():
    whole_file = file.dump(Lock(scanner="1", instructions="said"))
    text = whole_file.replace(b'"said"', rb'"\ud800"')
    assert file.dump(file.load(text, NAME)) == text
    item = rb'"launch": {}, "items": {"tools": {"\udfff": {"digest": ""}}}'
    name = whole_file.replace(b'"launch": {}', item)
    with pytest.raises(BaselineUnreadable, match="is damaged at"):
        file.load(name, NAME)


# --- any lock -------------------------------------------------------------------------------------

TEXT = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),  # a lock that is taken holds none
        st.sampled_from('\n\r\t"\\/\u200b\u202e\x00\ufeff'),
    )
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
SORTED = st.lists(TEXT, max_size=3, unique=True).map(lambda values: tuple(sorted(values)))


def whole(one: Item) -> Item:
    return replace(one, digest=file.digest(one))


ITEMS = st.builds(
    Item,
    kind=st.sampled_from(ItemKind),
    name=TEXT,
    digest=st.just(""),
    title=TEXT,
    description=TEXT,
    definition=st.dictionaries(TEXT, JSON, max_size=3),
).map(whole)
BEHAVIOUR = st.builds(
    Behaviour, endpoints=SORTED, programs=SORTED, writes=SORTED, reads=SORTED
).filter(lambda one: one != Behaviour())
LOCKS = st.builds(
    Lock,
    scanner=TEXT,
    profile=st.sampled_from(Profile),
    network=st.sampled_from(Network),
    tls=st.sampled_from(Tls),
    server=st.none() | st.dictionaries(TEXT, JSON, min_size=1, max_size=3),
    capabilities=st.none() | st.dictionaries(TEXT, JSON, min_size=1, max_size=3),
    instructions=TEXT,
    items=st.lists(ITEMS, max_size=3, unique_by=lambda one: one.subject).map(
        lambda items: tuple(sorted(items, key=lambda one: one.subject))
    ),
    behaviour=st.dictionaries(TEXT, BEHAVIOUR, max_size=3),
    uncalled=SORTED,
    launch=st.builds(
        Launch,
        entrypoint=st.lists(TEXT, max_size=2).map(tuple),
        command=st.lists(TEXT, max_size=2).map(tuple),
        user=TEXT,
        working_dir=TEXT,
        environment=SORTED,
        exposed_ports=SORTED,
        volumes=SORTED,
    ),
    ceilings=st.builds(
        Ceilings,
        memory=st.integers(0, 2**50),
        cpus=st.floats(0, 64),
        pids=st.integers(0, 2**20),
        relaxation=st.sampled_from(Relaxation),
    ),
    score=st.none() | st.floats(0, 100),
    normalised=SORTED,
)


@given(LOCKS)
def test_any_lock_reads_back(lock: Lock):
    data = file.dump(lock)
    read = file.load(data, NAME)
    assert read == lock
    assert file.dump(read) == data


@given(LOCKS)
@settings(max_examples=30)
def test_any_lock_fits_the_schema(lock: Lock):
    document = json.loads(file.dump(lock).decode("utf-8"))
    jsonschema_rs.validator_for(shape.schema()).validate(document)


# --- bad input ------------------------------------------------------------------------------------


def edited(**changes: Any) -> bytes:
    return json.dumps({**json.loads(file.dump(LOCK)), **changes}).encode()


def without(key: str) -> bytes:
    document = json.loads(file.dump(LOCK))
    del document[key]
    return json.dumps(document).encode()


def forged(**changes: Any) -> bytes:
    document = json.loads(file.dump(LOCK))
    document["items"]["tools/find"].update(changes)
    return json.dumps(document).encode()


BAD = {
    "nothing": (b"", "not whole JSON"),
    "truncated": (file.dump(LOCK)[:-20], "truncated"),
    "a merge's marks": (b"<<<<<<< HEAD\n" + file.dump(LOCK), "marks of a merge"),
    "not UTF-8": (b'{"version": "\xff"}', "not UTF-8"),
    "a mark of byte order": (b"\xef\xbb\xbf" + file.dump(LOCK), "not whole JSON"),
    "a list": (b"[]", "no object"),
    "a text": (b'"lock"', "no object"),
    "no version": (b"{}", "no version"),
    "a version that is none": (edited(version="1"), "no version"),
    "a true version": (edited(version=True), "no version"),
    "a newer version": (edited(version=LOCK_VERSION + 1), "newer mcp-sandbox"),
    "a version before all": (edited(version=0), "no longer read"),
    "a key twice": (b'{"version": 1, "version": 1}', "'version' twice"),
    "a tool twice": (
        b'{"version": 1, "items": {"tools/a": {}, "tools/a": {}}}',
        "'tools/a' twice",
    ),
    "an unknown key": (edited(extra=1), "extra"),
    "an unknown profile": (edited(profile="mild"), "profile"),
    "no ceilings": (without("ceilings"), "ceilings"),
    "a wrong type": (edited(instructions="text"), "instructions"),
    "a number for a name": (edited(scanner=1), "scanner"),
    "a score above all": (edited(score=101), "score"),
    "a subject of no kind": (
        edited(items={"things/x": json.loads(file.dump(LOCK))["items"]["tools/find"]}),
        "no kind",
    ),
    "no number": (file.dump(LOCK).replace(b"96.5", b"NaN"), "a number that is none"),
    "a number of many digits": (file.dump(LOCK).replace(b"96.5", b"9" * 5000), "a number"),
    "nested by the thousand": (b'{"a":' * 50_000, "nested too deep"),
    "nested too deep": (edited(server=json.loads("[" * 200 + "]" * 200)), "nested too deep"),
    "a forged text": (forged(description=["Other words."]), "was edited by hand"),
    "a forged digest": (forged(digest="0" * 64), "was edited by hand"),
    "a short digest": (forged(digest="00"), "digest"),
    "an item's unknown key": (forged(extra=1), "extra"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_is_told_in_a_sentence(name: str):
    data, said = BAD[name]
    with pytest.raises(BaselineUnreadable) as caught:
        file.load(data, NAME)
    assert said in caught.value.what
    assert caught.value.what.startswith(NAME)
    assert caught.value.what.endswith(".")
    assert "\n" not in caught.value.what
    assert len(caught.value.what) < 600
    assert caught.value.next_step
    assert caught.value.exit_code is ExitCode.BAD_INPUT


def test_a_file_of_a_newer_version_says_to_update():
    with pytest.raises(BaselineUnreadable) as caught:
        file.load(edited(version=99), NAME)
    assert caught.value.next_step.startswith("Update mcp-sandbox")


def test_a_file_that_is_too_large_is_not_parsed():
    with pytest.raises(BaselineUnreadable, match="larger than 32 MiB"):
        file.load(b" " * (100 * 2**20), NAME)


def test_hostile_text_is_bounded_in_what_is_said():
    document = json.loads(file.dump(LOCK))
    document["items"] = {"tools/" + "x" * 5_000: document["items"]["tools/find"]}
    with pytest.raises(BaselineUnreadable) as caught:
        file.load(json.dumps(document).encode(), NAME)
    assert len(caught.value.what) < 600


@given(st.data())
def test_damage_anywhere_is_told_or_harmless(data: st.DataObject):
    good = file.dump(LOCK)
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(len(good), start + 40)))
    put = data.draw(st.binary(max_size=6) | st.sampled_from([b'"', b"{", b"}", b"\\", b",", b"1"]))
    try:
        lock = file.load(good[:start] + put + good[end:], NAME)
    except BaselineUnreadable:
        return
    assert file.load(file.dump(lock), NAME) == lock


@given(st.binary())
@example(b"\x00")
@example(b"\xed\xa0\x80")
def test_any_bytes_are_refused_in_a_sentence(data: bytes):
    with pytest.raises(BaselineUnreadable):
        file.load(data, NAME)


def test_the_depth_is_measured_without_recursion():
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert strict.deeper(deep, strict.MAX_DEPTH)


# --- places ---------------------------------------------------------------------------------------


def test_lines_of_subjects_and_their_fields():
    data = file.dump(LOCK)
    found = file.lines(data)
    text = data.decode().splitlines()
    assert text[found["tools/find"] - 1] == '    "tools/find": {'
    assert text.index('  "items": {') < found["tools/find"]
    assert text[found["tools/find#description"] - 1] == '      "description": ['
    assert text[found["tools/find#endpoints"] - 1] == '      "endpoints": ['
    assert text[found["start-up"] - 1] == '    "start-up": {'
    assert text[found["server"] - 1] == '  "server": {'
    assert text[found["image"] - 1] == '  "launch": {'
    assert text[found["server#instructions"] - 1] == '  "instructions": ['


def test_lines_of_a_name_that_needs_escapes():
    lock = replace(LOCK, items=(item('odd "name"\u200b\n'),), behaviour={})
    data = file.dump(lock)
    line = file.lines(data)['tools/odd "name"\u200b\n']
    assert data.decode().splitlines()[line - 1].startswith(r'    "tools/odd \"name\"\u200b\n"')


def test_a_definition_does_not_pass_for_a_subject():
    lock = replace(LOCK, items=(item(**{"tools/forged": {}, "items": {"tools/x": {}}}),))
    found = file.lines(file.dump(lock))
    assert not {"tools/forged", "tools/x"} & found.keys()


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b"{}", b'    "a": \n' * 10, b'  "\\q": 1'])
def test_lines_of_anything_else_are_none(data: bytes):
    assert file.lines(data) == {}
