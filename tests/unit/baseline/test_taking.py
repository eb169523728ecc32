"""A lock from observations: what is told where, what is left out, when it must not be written."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from mcp_sandbox.baseline import file
from mcp_sandbox.baseline.behaviour import MOST_VALUES
from mcp_sandbox.baseline.taking import take
from mcp_sandbox.model import (
    Act,
    Call,
    CallStatus,
    ItemKind,
    KernelEvent,
    LaunchFacts,
    Listing,
    Moment,
    Network,
    Observations,
    Profile,
    Relaxation,
    Session,
    SessionEnd,
    SinkEvent,
    SinkKind,
    Tls,
    Tracing,
    Window,
    Witness,
)
from mcp_sandbox.model.locked import Behaviour, Lock, Taken
from support.observed import WITNESSES, arrived, call, did, listings, observed, session, tool

NONCE = "nq7w3k9zt2ab"
FIND, READ = "tools/find", "tools/read"
TOOLS = (tool("find", name="The name."), tool("read", name="The name."))


def taken(*sessions: Session, network: Network = Network.SINK, **more: Any) -> Taken:
    return take(
        observed(*sessions, **more),
        scanner="0.6.0",
        profile=Profile.DEFAULT,
        score=90.0,
        network=network,
        tls=Tls.OBSERVE,
    )


def run(
    *calls: Call,
    kernel: tuple[KernelEvent, ...] = (),
    sink: tuple[SinkEvent, ...] = (),
    **more: Any,
) -> Session:
    """A main session; lines are given in the order of the events."""
    container = {
        "kernel": tuple(replace(one, line=at) for at, one in enumerate(kernel, start=1)),
        "sink": tuple(replace(one, line=at) for at, one in enumerate(sink, start=1)),
        "network": Network.SINK,
        **more.pop("container", {}),
    }
    return session(*calls, container=container, tools=more.pop("tools", TOOLS), **more)


def done(*calls: Call, **records: Any) -> dict[str, Behaviour]:
    return taken(run(*calls, **records)).lock.behaviour


def find(value: Any = "notes", **changes: Any) -> Call:
    return call(value=value, target="find", **changes)


def read(value: Any = "notes", **changes: Any) -> Call:
    return call(value=value, target="read", **changes)


def hostile(value: Any, **changes: Any) -> Call:
    return call("command-injection", value, **{"target": "find", **changes})


COMPLETE_CALLS = (find(), read())


# --- what is presented ----------------------------------------------------------------------------


def test_the_listing_is_kept_whole_with_unknown_fields():
    odd = {
        **tool("odd", "Line one.\nLine two.", name="x"),
        "title": "Odd",
        "annotations": {"readOnlyHint": True},
        "x-unknown": [1, {"deep": "kept"}],
    }
    lock = taken(run(tools=(odd,), instructions="Use it.", capabilities={"tools": {}})).lock
    (item,) = lock.items
    assert (item.subject, item.title, item.description) == (
        "tools/odd",
        "Odd",
        "Line one.\nLine two.",
    )
    assert item.definition == {
        key: value for key, value in odd.items() if key not in {"name", "title", "description"}
    }
    assert item.digest == file.digest(item)
    assert (lock.server, lock.capabilities, lock.instructions) == (
        {"name": "things", "version": "1.0"},
        {"tools": {}},
        "Use it.",
    )


def test_items_of_every_kind_stand_by_kind_and_name():
    lists = (
        Listing(ItemKind.TOOLS, Moment.BEFORE, (tool("b"), tool("a"))),
        Listing(ItemKind.PROMPTS, Moment.BEFORE, ({"name": "p", "arguments": []},)),
        Listing(ItemKind.RESOURCES, Moment.BEFORE, ({"uri": "x://1", "name": "one"},)),
        Listing(ItemKind.TEMPLATES, Moment.BEFORE, ({"uriTemplate": "x://{a}"},)),
    )
    lock = taken(run(listings=lists)).lock
    assert [item.subject for item in lock.items] == [
        "prompts/p",
        "resourceTemplates/x://{a}",
        "resources/x://1",
        "tools/a",
        "tools/b",
    ]
    assert lock.items[2].definition == {"name": "one"}


def test_nothing_offered_reads_back_as_it_was():
    lock = taken(run(capabilities={}, server_info={})).lock
    assert file.load(file.dump(lock), "x") == lock


def test_a_title_that_is_no_text_is_kept_as_it_is():
    (item,) = taken(run(tools=({"name": "a", "title": 7, "description": ["x"]},))).lock.items
    assert (item.title, item.description) == ("", "")
    assert item.definition == {"title": 7, "description": ["x"]}


def test_the_order_of_a_set_does_not_show():
    def lock(*order: str) -> bytes:
        schema = {"type": "object", "required": list(order), "properties": {"a": {"enum": order}}}
        return file.dump(taken(run(tools=({"name": "a", "inputSchema": schema},))).lock)

    assert lock("x", "y", "z") == lock("z", "x", "y")
    assert lock("x", "y", "z") != lock("z", "x", "w")


def test_what_differs_between_sessions_is_left_out_and_said():
    def at(time: str) -> tuple[Any, ...]:
        return (tool("now", f"Started {time}. Example: 2024-01-31T10:00:00Z.", x="y"),)

    main = run(tools=at("2026-11-21T15:23:43Z"))
    other = run(tools=at("2026-11-21T15:24:02Z"), role="untraced")
    lock = taken(main, other).lock
    assert lock.items[0].description == "Started <time>. Example: 2024-01-31T10:00:00Z."
    assert lock.normalised == ("tools/now: times of day are left out.",)
    alone = taken(main).lock
    assert "2026-11-21T15:23:43Z" in alone.items[0].description


def test_what_json_and_utf8_cannot_hold_is_written_visibly():
    deep: Any = "x"
    for _ in range(200):
        deep = [deep]
    odd = {"name": "a\ud800", "x": float("inf"), "y": 2.0, "deep": deep, "big": 10**400}
    lock = taken(run(tools=(odd,))).lock
    assert lock.items[0].name == r"a\ud800"
    assert lock.items[0].definition["x"] == "inf"
    assert lock.items[0].definition["y"] == 2
    assert file.load(file.dump(lock), "x") == lock


def test_a_change_below_what_is_kept_is_seen():
    def nested(said: str) -> Lock:
        deep: Any = said
        for _ in range(200):
            deep = [deep]
        return taken(run(tools=({"name": "a", "x": deep},))).lock

    assert nested("one") == nested("one")
    assert nested("one").items[0].digest != nested("two").items[0].digest
    assert len(file.dump(nested("one" * 10_000))) == len(file.dump(nested("one")))


def test_launch_facts_hide_secrets_and_long_values():
    launch = LaunchFacts(
        entrypoint=("node",),
        environment=("PATH=/bin", "API_KEY=abcdef", "LONG=" + "x" * 500, "EMPTY_TOKEN=", "A=1"),
        user="1000",
        volumes=("/b", "/a"),
    )
    lock = taken(run(), launch=launch).lock
    assert lock.launch.environment[:1] == ("A=1",)
    assert "EMPTY_TOKEN=" in lock.launch.environment
    assert "PATH=/bin" in lock.launch.environment
    assert not any("abcdef" in one or "xxx" in one for one in lock.launch.environment)
    assert sum("=sha256:" in one for one in lock.launch.environment) == 2
    assert lock.launch.volumes == ("/a", "/b")


def test_ceilings_name_the_relaxation():
    lock = taken(run(container={"relaxation": Relaxation.MORE_MEMORY})).lock
    assert lock.ceilings.relaxation is Relaxation.MORE_MEMORY
    assert lock.ceilings.memory == 256 * 2**20


# --- what was done --------------------------------------------------------------------------------


def test_each_place_has_its_own():
    behaviour = done(
        find(),
        find(),
        read(),
        read(),
        kernel=(
            did(Act.EXEC, "/usr/bin/node", call=0),
            did(Act.OPEN, "/srv/conf", call=0, window=Window.LISTING),
            did(Act.EXEC, "/usr/bin/git", call=2),
            did(Act.WRITE, "/var/lib/x", call=2, result="EROFS"),
            did(Act.OPEN, "/etc/passwd", call=4),
        ),
        sink=(
            arrived(SinkKind.DNS, "quiet.example", 0, call=0, window=Window.IDLE),
            arrived(SinkKind.DNS, "api.example", 0, call=2),
            arrived(SinkKind.TLS, "API.example.", 443, call=2),
            arrived(SinkKind.UDP, "log.example", 514, call=4),
            arrived(SinkKind.HTTP, "2001:db8::1", 80, call=4),
        ),
    )
    assert behaviour == {
        "start-up": Behaviour(programs=("node",), reads=("/srv/conf",)),
        "idle": Behaviour(endpoints=("quiet.example",)),
        FIND: Behaviour(endpoints=("api.example:443",), programs=("git",), writes=("/var/lib/x",)),
        READ: Behaviour(
            endpoints=("[2001:db8::1]:80", "log.example:514/udp"), reads=("/etc/passwd",)
        ),
    }


def test_every_value_has_the_evidence_of_its_first_time():
    one = run(
        find(),
        find(),
        kernel=(did(Act.EXEC, "/usr/bin/git", call=1), did(Act.EXEC, "/usr/bin/git", call=2)),
        sink=(arrived(SinkKind.TLS, "api.example", call=2),),
    )
    seen = taken(one).seen
    sighting = seen[FIND, "programs", "git"]
    assert sighting.session is one
    assert sighting.call == one.transcript.calls[0]
    assert [event.line for event in sighting.kernel] == [1]
    (event,) = seen[FIND, "endpoints", "api.example:443"].sink
    assert event.call == 2
    lock = taken(one).lock
    assert {subject for subject, _, _ in seen} == lock.behaviour.keys()


def test_what_shows_unprompted_is_not_told_for_each_tool():
    behaviour = done(
        find(),
        kernel=(
            did(Act.EXEC, "/usr/bin/git", call=0),
            did(Act.EXEC, "/usr/bin/git", call=1),
            did(Act.OPEN, "/srv/conf", call=0),
            did(Act.OPEN, "/srv/conf", call=1),
        ),
        sink=(
            arrived(SinkKind.TLS, "beacon.example", call=0),
            arrived(SinkKind.DNS, "beacon.example", 0, call=1),
            arrived(SinkKind.TLS, "beacon.example", call=1),
        ),
    )
    assert behaviour == {
        "start-up": Behaviour(
            endpoints=("beacon.example:443",), programs=("git",), reads=("/srv/conf",)
        )
    }


def test_a_name_that_is_only_looked_up_stands_alone():
    behaviour = done(find(), sink=(arrived(SinkKind.DNS, "only.example", 0),))
    assert behaviour[FIND].endpoints == ("only.example",)


def test_idle_and_the_end_are_one_place_without_what_start_up_does():
    behaviour = done(
        find(),
        kernel=(
            did(Act.EXEC, "/usr/bin/node", call=0),
            did(Act.WRITE, "/var/idle", call=0, window=Window.IDLE),
            did(Act.OPEN, "/srv/x", call=1),
            did(Act.EXEC, "/usr/bin/node", call=0, window=Window.SHUTDOWN),
            did(Act.WRITE, "/var/state", call=0, window=Window.SHUTDOWN),
        ),
    )
    assert behaviour["idle"] == Behaviour(writes=("/var/idle", "/var/state"))


def test_what_a_call_began_is_not_idle():
    behaviour = done(
        find("http://asked.example/"),
        sink=(
            arrived(SinkKind.TLS, "api.example", call=1),
            arrived(SinkKind.TLS, "api.example", call=0, window=Window.IDLE),
            arrived(SinkKind.HTTP, "asked.example", 80, call=0, window=Window.IDLE),
            arrived(SinkKind.TLS, "api.example", call=0, window=Window.LISTING),
            arrived(SinkKind.TLS, "own.example", call=0, window=Window.SHUTDOWN),
        ),
    )
    assert behaviour == {
        "idle": Behaviour(endpoints=("own.example:443",)),
        FIND: Behaviour(endpoints=("api.example:443",)),
    }


# --- late effects ---------------------------------------------------------------------------------


def test_a_late_effect_is_not_the_next_tools():
    early = (
        arrived(SinkKind.TLS, "api.example", call=1),
        arrived(SinkKind.TLS, "api.example", call=2),
    )
    late = arrived(SinkKind.TLS, "api.example", call=3)
    calls = (find(), find(), read(), read())
    # In one run it comes in time, in the other too late.
    assert done(*calls, sink=early) == done(*calls, sink=(*early[:1], late))
    assert done(*calls, sink=early).keys() == {FIND}


def test_of_two_tools_that_do_the_same_each_has_it():
    sink = tuple(arrived(SinkKind.TLS, "api.example", call=number) for number in (1, 2, 3, 4))
    assert done(find(), read(), find(), read(), sink=sink).keys() == {FIND, READ}


def test_what_follows_a_call_that_was_not_answered_is_that_ones():
    sink = tuple(arrived(SinkKind.TLS, "api.example", call=number) for number in (1, 2, 3))
    calls = (find(), find(status=CallStatus.TIMEOUT), read(), read())
    assert done(*calls, sink=sink).keys() == {FIND}


def test_what_a_tool_does_by_itself_too_is_its_own():
    sink = tuple(arrived(SinkKind.TLS, "api.example", call=number) for number in (1, 3, 4))
    assert done(find(), find(), read(), read(), sink=sink).keys() == {FIND, READ}


def test_of_two_that_may_be_each_others_none_is_taken_away():
    calls = (find(), read(), find(), read())
    sink = (
        arrived(SinkKind.TLS, "api.example", call=2),
        arrived(SinkKind.TLS, "api.example", call=3),
    )
    assert done(*calls, sink=sink).keys() == {FIND}
    sink = (sink[0], arrived(SinkKind.TLS, "api.example", call=5))
    assert done(*calls, find(), read(), sink=sink).keys() == {FIND, READ}


def test_what_is_written_at_the_end_shows_though_a_call_named_a_part_of_it():
    behaviour = done(
        find("sample"),
        kernel=(
            did(Act.OPEN, "/srv/x", call=1),
            did(Act.WRITE, "/var/spool/sample.json", call=0, window=Window.SHUTDOWN),
        ),
    )
    assert behaviour["idle"].writes == ("/var/spool/<argument>",)


def test_what_comes_in_its_own_time_is_idle_whichever_call_it_falls_into():
    calls = (find(), find(), find("x"), read(), read(), read("x"))
    both = [hostile("x", payload=str(at)) for at in range(10)]

    def timed(number: int) -> Session:
        """A beacon from a clock, and the fifth call's own."""
        return run(
            *calls,
            *both,
            sink=(
                arrived(SinkKind.TLS, "clock.example", call=number),
                arrived(SinkKind.TLS, "fifth.example", call=11),
            ),
        )

    def of(main: int, other: int) -> dict[str, Behaviour]:
        untraced = timed(other)
        transcript = replace(untraced.transcript, role="untraced")
        return taken(timed(main), replace(untraced, transcript=transcript)).lock.behaviour

    told = {
        "idle": Behaviour(endpoints=("clock.example:443",)),
        FIND: Behaviour(endpoints=("fifth.example:443",)),
    }
    assert of(2, 14) == told
    assert of(14, 5) == told
    assert of(8, 16) == told


# --- what a call had named ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "host"),
    [
        ("http://asked.example/", "asked.example"),
        ("http://ASKED.example:8080/x", "asked.example"),
        ("user@asked.example", "asked.example"),
        ("http%3A%2F%2Fasked.example%2F", "asked.example"),
        ("http%253A%252F%252Fasked.example%252F", "asked.example"),
        ("aHR0cDovL2Fza2VkLmV4YW1wbGUvcGF0aA==", "asked.example"),
        ("http://0x7f000001/", "127.0.0.1"),
        ("http://2852039166/latest", "169.254.169.254"),
        ("http://[::ffff:169.254.169.254]/", "169.254.169.254"),
        ({"deep": ["http://asked.example/"]}, "asked.example"),
        ("; ping Printer", "printer"),
    ],
)
def test_a_host_that_the_call_named_is_an_argument(value: Any, host: str):
    behaviour = done(find(value), sink=(arrived(SinkKind.HTTP, host, 80),))
    assert behaviour[FIND].endpoints == ("<argument>",)


@pytest.mark.parametrize("host", ["other.example", "asked.example.evil.example", "example"])
def test_another_host_is_none(host: str):
    behaviour = done(find("http://asked.example/"), sink=(arrived(SinkKind.HTTP, host, 80),))
    assert behaviour[FIND].endpoints == (f"{host}:80",)


def test_what_the_server_told_us_to_name_was_not_named_by_us():
    """A refusal that offers a value, or a result with an id, must not explain what follows."""
    value, program = "http://told.example/", "curl"
    asked = find({"id": value, "with": program}, payload="repaired-1", learned=(value, program))
    behaviour = done(
        asked,
        sink=(arrived(SinkKind.HTTP, "told.example", 80),),
        kernel=(did(Act.EXEC, "/usr/bin/curl"),),
    )
    assert behaviour[FIND].endpoints == ("told.example:80",)
    assert behaviour[FIND].programs == ("curl",)


def test_a_host_named_later_is_none():
    behaviour = done(
        find(),
        hostile("http://later.example/"),
        sink=(
            arrived(SinkKind.HTTP, "later.example", 80, call=1),
            arrived(SinkKind.HTTP, "later.example", 80, call=2),
        ),
    )
    assert behaviour[FIND].endpoints == ("later.example:80",)


def test_how_late_it_comes_does_not_matter():
    calls = [hostile("http://slow.example/"), *[hostile("quick")] * 9]
    early, late = (
        done(*calls, sink=(arrived(SinkKind.HTTP, "slow.example", 80, call=number),))
        for number in (1, 9)
    )
    assert early == late == {FIND: Behaviour(endpoints=("<argument>",))}


def test_names_with_nonces_are_arguments():
    behaviour = done(
        hostile("x"),
        sink=(arrived(SinkKind.DNS, f"{NONCE}.12345.example", 0),),
        kernel=(
            did(Act.WRITE, f"/var/{NONCE}.txt"),
            did(Act.EXEC, f"/var/{NONCE}"),
        ),
    )
    assert behaviour[FIND] == Behaviour(
        endpoints=("<argument>",), programs=("<argument>",), writes=("/var/<argument>",)
    )


def test_a_program_that_the_call_named_is_an_argument():
    behaviour = done(
        find("ls"),
        hostile("; /usr/bin/touch /tmp/x"),
        kernel=(
            did(Act.EXEC, "/bin/sh", call=1),
            did(Act.EXEC, "/bin/ls", call=1),
            did(Act.EXEC, "/usr/bin/touch", call=2),
            did(Act.EXEC, "/usr/bin/curl", call=2),
        ),
    )
    assert behaviour[FIND].programs == ("<argument>", "curl", "sh")


@pytest.mark.parametrize(
    ("value", "path", "written"),
    [
        ("/data/notes.txt", "/data/notes.txt", "<argument>"),
        ("/data/notes.txt", "/data/notes.txt.0a1b2c3d4e.tmp", "<argument>.*.tmp"),
        ("/data/notes.txt", "/data", "<argument>"),
        ("/data/repo", "/data/repo/.git/config", "<argument>/.git/config"),
        ("file:///data/notes.txt", "/data/notes.txt", "<argument>"),
        ("%2Fdata%2Fnotes.txt", "/data/notes.txt", "<argument>"),
        ("notes.txt", "/home/x/notes.txt", "/home/x/<argument>"),
        ("sample", "/var/cache/sample.json", "/var/cache/<argument>"),
        ("/data/notes.txt", "/etc/cron.d/job", "/etc/cron.d/job"),
        ("/data/repo", "/data/repository", "/data/repository"),
        ("a", "/data/abc", "/data/abc"),
    ],
)
def test_paths_of_ordinary_calls(value: str, path: str, written: str):
    behaviour = done(find(value), kernel=(did(Act.WRITE, path),))
    assert behaviour[FIND].writes == (written,)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("../../etc/cron.d/x", "/etc/cron.d/x"),
        ("..%2f..%2fetc/passwd", "/etc/passwd"),
        ("/etc", "/etc/cron.d/y"),
        ("/", "/var/anything"),
        ("/data/../etc/passwd", "/etc/passwd"),
        ("/srv/link/token.txt", "/opt/backup/token.txt"),
        ("..\\..\\etc\\passwd", "/etc/passwd"),
        ("/etc/passwd\0.png", "/etc/passwd"),
    ],
)
def test_paths_of_hostile_calls_do_not_show(value: str, path: str):
    behaviour = taken(
        run(find(), hostile(value), kernel=(did(Act.WRITE, path, call=2),)),
        planted=("file:/opt/backup/token.txt", "env:TOKEN"),
    ).lock.behaviour
    assert behaviour[FIND].writes == ("<argument>",)


def test_a_part_of_a_payload_does_not_show():
    behaviour = done(
        find("/data"),
        hostile({"folder": "/data", "name": "![x](http://e/y.png)"}),
        kernel=(did(Act.MKDIR, "/data/heads/![x](http:", call=2, result="EROFS"),),
    )
    assert behaviour[FIND].writes == ("<argument>/heads/<argument>",)


# --- what is no behaviour -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/usr/lib/python3/x.py",
        "/lib/x86_64-linux-gnu/libc.so.6",
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/ld.so.cache",
        "/etc/hosts",
        "/etc/locale.alias",
        "/proc/self/maps",
        "/proc/cpuinfo",
        "/sys/fs/cgroup/memory.max",
        "/dev/urandom",
        "/tmp/notes.txt",
        "/var/tmp/x",
        "/venv/lib/python3.13/site-packages/x/data.json",
        "/opt/x/node_modules/.bin/tool",
        "/app/main.py",
        "/app/data/names.json",
        "/.mcp-sandbox/strace",
        "/venv/pyvenv.cfg",
        "/opt/tool/modules/part.js",
        "pipe:[1234]",
        "/",
    ],
)
def test_reads_of_programs_and_the_machine_are_left_out(path: str):
    behaviour = taken(
        run(
            find(),
            kernel=(
                did(Act.OPEN, "/opt/tool/index.js", call=0),
                did(Act.OPEN, path),
            ),
        ),
        launch=LaunchFacts(working_dir="/app"),
    ).lock.behaviour
    assert FIND not in behaviour


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ("/etc/passwd", "/etc/passwd"),
        ("/root/.ssh/id_rsa", "/root/.ssh/id_rsa"),
        ("/app/.env", "/app/.env"),
        ("/data/names.json", "/data/names.json"),
        ("/run/secrets/token", "/run/secrets/token"),
        ("/proc/1234/environ", "/proc/*/environ"),
        ("/application/x", "/application/x"),
        ("/tmpfoo/x", "/tmpfoo/x"),
    ],
)
def test_other_reads_are_behaviour(path: str, written: str):
    behaviour = taken(
        run(find(), kernel=(did(Act.OPEN, path),)), launch=LaunchFacts(working_dir="/app")
    ).lock.behaviour
    assert behaviour[FIND].reads == (written,)


@pytest.mark.parametrize(
    "event",
    [
        did(Act.WRITE, "/tmp/x"),
        did(Act.WRITE, "/dev/null"),
        did(Act.WRITE, "/dev/shm/x"),
        did(Act.WRITE, "/proc/self/oom_score_adj"),
        did(Act.WRITE, "/app/__pycache__/x.cpython-313.pyc.140234"),
        did(Act.WRITE, "/data/x", result="ENOENT"),
        did(Act.MKDIR, "/data", result="EEXIST"),
        did(Act.EXEC, "/usr/bin/git", result="ENOENT"),
        did(Act.EXEC, "/.mcp-sandbox/strace"),
        did(Act.OPEN, "/data/x", result="ENOENT"),
        did(Act.CONNECT, "192.0.2.53:53", detail="UDP"),
        did(Act.CONNECT, "203.0.113.7:0", detail="UDP"),
        did(Act.CONNECT, "unix:/var/run/nscd/socket"),
        did(Act.FORK, "pid 17"),
        did(Act.KILL, "child"),
        did(Act.SEND, "netlink"),
    ],
)
def test_what_is_no_behaviour_is_left_out(event: KernelEvent):
    assert done(find(), kernel=(event,)) == {}


@pytest.mark.parametrize(
    ("event", "written"),
    [
        (did(Act.WRITE, "/data/x"), {"/data/x"}),
        (did(Act.UNLINK, "/data/x", result="EACCES"), {"/data/x"}),
        (did(Act.RENAME, "/data/x", detail="/data/y"), {"/data/x", "/data/y"}),
        (did(Act.LINK, "/etc/target", detail="/data/y"), {"/data/y"}),
        (did(Act.RENAME, "/tmp/x", detail="/data/y"), {"/data/y"}),
        (did(Act.WRITE, "/data/../etc/x", result="EROFS"), {"/etc/x"}),
        (did(Act.WRITE, "/proc/sys/kernel/x", result="EACCES"), {"/proc/sys/kernel/x"}),
        (did(Act.WRITE, "/dev/sda", result="EACCES"), {"/dev/sda"}),
    ],
)
def test_changes_of_files_are_behaviour(event: KernelEvent, written: set[str]):
    assert set(done(find(), kernel=(event,))[FIND].writes) == written


@pytest.mark.parametrize("name", ["mcp-server", "localhost", "7.2.0.192.in-addr.arpa"])
def test_the_machines_own_name_is_no_endpoint(name: str):
    assert done(find(), sink=(arrived(SinkKind.DNS, name, 0),)) == {}


def test_sockets_of_the_machine_are_endpoints_too():
    behaviour = done(
        find(),
        kernel=(
            did(Act.CONNECT, "127.0.0.1:6379", result="ECONNREFUSED", detail="TCP"),
            did(Act.CONNECT, "[::1]:43125", result="ECONNREFUSED", detail="TCP"),
            did(Act.CONNECT, "unix:/var/run/docker.sock", result="ENOENT"),
        ),
    )
    assert behaviour[FIND].endpoints == (
        "127.0.0.1:6379",
        "[::1]:*",
        "unix:/var/run/docker.sock",
    )


def test_without_a_sink_the_kernel_tells_the_addresses():
    one = run(
        *COMPLETE_CALLS,
        kernel=(
            did(Act.CONNECT, "203.0.113.7:443", result="ENETUNREACH", detail="TCP"),
            did(Act.SEND, "203.0.113.8:514", result="ENETUNREACH", detail="UDP"),
        ),
        container={
            "network": Network.NONE,
            "witnesses": {**WITNESSES, Witness.SINK.value: "not used"},
        },
    )
    result = taken(one, network=Network.NONE)
    assert result.lock.behaviour[FIND].endpoints == ("203.0.113.7:443", "203.0.113.8:514/udp")
    assert result.incomplete == ()


def test_many_files_of_a_folder_are_one_value():
    kernel = tuple(did(Act.OPEN, f"/data/{name}.csv") for name in "abcdefghijklmnop")
    result = taken(run(find(), kernel=kernel))
    assert result.lock.behaviour[FIND].reads == ("/data/*",)
    assert result.seen[FIND, "reads", "/data/*"].kernel[0].object == "/data/a.csv"
    assert any("*" in said for said in result.lock.normalised)


def test_a_path_without_end_is_cut():
    behaviour = done(find(), kernel=(did(Act.OPEN, "/data" + "/a" * 500),))
    assert behaviour[FIND].reads == ("/data" + "/a" * 23 + "/*",)


@pytest.mark.parametrize("path", ["//", "//x", "/..", "//../x", "/a//b"])
def test_odd_slashes_end_nothing(path: str):
    kernel = (did(Act.WRITE, path), did(Act.OPEN, path), did(Act.OPEN, f"{path}.py", call=0))
    behaviour = done(find(path), hostile(f"..{path}"), kernel=kernel)
    assert all(value.startswith(("/", "<")) for value in behaviour.get(FIND, Behaviour()).writes)


def test_only_the_main_sessions_count():
    other = run(kernel=(did(Act.EXEC, "/usr/bin/curl", call=0),), role="untraced")
    assert taken(run(), other).lock.behaviour == {}


def test_where_the_tracer_inside_was_blind_the_one_outside_counts():
    blind = run(
        kernel=(did(Act.EXEC, "/bin/half", call=0),),
        container={
            "tracing": Tracing.INSIDE,
            "witnesses": {**WITNESSES, Witness.TRACE.value: "opaque: half"},
        },
    )
    outside = run(
        find(),
        read(),
        kernel=(did(Act.EXEC, "/bin/whole", call=0),),
        container={"tracing": Tracing.OUTSIDE},
    )
    result = taken(blind, outside)
    assert result.lock.behaviour == {"start-up": Behaviour(programs=("whole",))}
    assert result.incomplete == ()


def test_a_lock_does_not_depend_on_the_order_of_what_happened_at_once():
    kernel = [did(Act.OPEN, f"/data/{name}", call=1) for name in "abcde"]
    kernel += [did(Act.EXEC, f"/usr/bin/{name}", call=1) for name in ("git", "ssh", "sh")]
    locks = set()
    for seed in range(10):
        random.Random(seed).shuffle(kernel)
        locks.add(file.dump(taken(run(find(), kernel=tuple(kernel))).lock))
    assert len(locks) == 1


# --- when it must not become a lock file ----------------------------------------------------------


def incomplete(*sessions: Session, **more: Any) -> str:
    return " ".join(taken(*sessions, **more).incomplete)


def test_a_whole_run_is_complete():
    assert taken(run(*COMPLETE_CALLS)).incomplete == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"end": SessionEnd.BUDGET, "end_detail": "time"}, "not completed: budget (time)"),
        ({"end": SessionEnd.EXITED}, "not completed: exited"),
        ({"end": SessionEnd.NEVER_ANSWERED}, "did not answer"),
        (
            {"container": {"witnesses": {**WITNESSES, "trace": "cut short"}}},
            "'trace' is not complete: cut short",
        ),
        (
            {"container": {"witnesses": {**WITNESSES, "sink": "not used"}}},
            "'sink' is not complete: not used",
        ),
        ({"container": {"witnesses": {}}}, "'trace' is not complete"),
        (
            {"listings": (Listing(ItemKind.TOOLS, Moment.BEFORE, TOOLS, "more than 2 items"),)},
            "The list of tools is not whole: more than 2 items.",
        ),
        ({"listings": ()}, "The list of tools is not whole"),
        ({"listings": listings(*TOOLS, tool("find"))}, "Two tools have the name 'find'."),
        ({"listings": listings(*TOOLS, tool("third"))}, "The tool 'third' was not reached."),
    ],
)
def test_why_it_must_not_be_written(changes: dict[str, Any], said: str):
    assert said in incomplete(run(*COMPLETE_CALLS, **changes))


def test_no_session_is_no_lock():
    nothing = Observations(image=observed().image)
    result = take(
        nothing,
        scanner="1",
        profile=Profile.DEFAULT,
        score=None,
        network=Network.SINK,
        tls=Tls.OBSERVE,
    )
    assert result.incomplete == ("The server did not answer.",)
    assert file.load(file.dump(result.lock), "x") == result.lock


def test_more_than_a_lock_takes_is_said():
    kernel = tuple(
        did(Act.EXEC, f"/usr/bin/{one}{two}")
        for one in "abcdefghijklmnop"
        for two in "abcdefghijklmnop"
    )
    assert len(kernel) > MOST_VALUES
    assert "tools/find (programs)" in incomplete(run(*COMPLETE_CALLS, kernel=kernel))


def test_more_than_a_lock_file_takes_is_said():
    huge = tool("find", "x" * (file.MAX_BYTES // 4))
    assert "More is listed than a lock file takes" in incomplete(
        run(*COMPLETE_CALLS, tools=(huge, TOOLS[1]))
    )


def test_a_plan_that_was_taken_up_again_is_complete():
    first = run(find(), end=SessionEnd.EXITED)
    second = run(read())
    assert taken(first, second).incomplete == ()


def test_a_tool_that_could_not_be_called_is_named():
    result = taken(run(find(), not_called={"read": "its schema takes nothing"}))
    assert result.incomplete == ()
    assert result.lock.uncalled == (READ,)
