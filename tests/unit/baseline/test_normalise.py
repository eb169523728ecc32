"""What differs from run to run, and its near misses, which stay."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_sandbox.baseline import normalise
from mcp_sandbox.baseline.normalise import MOST_SIBLINGS, Normaliser, gathered, path, variables

UUID = "3f2b8c1e-5d47-4a6b-9c80-1e2d3c4b5a69"


def text(value: str, constant: frozenset[str] | None = frozenset()) -> str:
    return Normaliser(constant).text(value, "server")


@pytest.mark.parametrize(
    ("differs", "written"),
    [
        ("Taken 2026-11-21T15:23.", "Taken <time>."),
        ("Taken 2026-11-21 15:23 UTC, again", "Taken <time>, again"),
        ("Taken 2026-11-21T15:23:43Z.", "Taken <time>."),
        ("Taken 2026-11-21 15:23:43.123456+00:00", "Taken <time>"),
        ("Since Sat, 21 Nov 2026 15:23:43 GMT", "Since <time>"),
        ("Since Sat Nov 21 15:23:43 2026", "Since <time>"),
        ("Since Sat Nov  1 15:23:43 UTC 2026", "Since <time>"),
        ("Today is 2026-11-21.", "Today is <date>."),
        ("The current date: 2026-11-21", "The current date: <date>"),
        ("Server (pid 4242) is up", "Server (pid <number>) is up"),
        ("PID: 17", "PID: <number>"),
        ("Files are in /tmp/tmpa1b2c3d4", "Files are in /tmp/tmp<random>"),
        ("Files are in /tmp/tmp.Ab3dE6gH9k/x", "Files are in /tmp/tmp<random>/x"),
        ("See http://localhost:43125/x", "See http://localhost:<port>/x"),
        ("See 127.0.0.1:51000", "See 127.0.0.1:<port>"),
        (f"Session {UUID}", "Session <uuid>"),
        ("Build 0a1b2c3d4e5f", "Build <hex>"),
        ("At 1763738623", "At <hex>"),
    ],
)
def test_what_differs_is_left_out(differs: str, written: str):
    assert text(differs) == written


@pytest.mark.parametrize(
    "same",
    [
        "Dates as YYYY-MM-DD, such as 2024-01-31.",
        "Protocol 2025-11-25",
        "Opens at 15:23",
        "Version 1.20.300",
        "The pid of a process",
        "rapid 17",
        "Writes to /tmp/notes.txt",
        "Writes to /tmp/template",
        "Writes to /tmp/tmpfiles",
        "See http://localhost:8080/x",
        "See example.com:43125",
        "deadbeef",
        "beadedface",
        "1234567",
        "ratio 2026-11-21T15:23x",
    ],
)
def test_a_near_miss_stays(same: str):
    normaliser = Normaliser(frozenset())
    assert normaliser.text(same, "server") == same
    assert normaliser.said == ()


def test_what_every_session_shows_is_documentation():
    shown = f"For example {UUID}, 2024-01-31T10:00:00Z or 1700000000."
    assert text(shown, variables([shown])) == shown
    assert text(shown, None) == shown
    assert text(shown) == "For example <uuid>, <time> or <hex>."


def test_numbers_and_texts_of_json_are_gone_through():
    normaliser = Normaliser(frozenset())
    value = {"_meta": {"at": 1763738623000, "port": 8080, "on": True, "list": [f"x {UUID}"]}}
    assert normaliser.json(value, "tools/a") == {
        "_meta": {"at": "<hex>", "port": 8080, "on": True, "list": ["x <uuid>"]}
    }
    assert normaliser.said == ("tools/a: identifiers are left out.",)


def test_what_was_left_out_is_said_once_a_place():
    normaliser = Normaliser(frozenset())
    normaliser.text("pid 1 and pid 2", "tools/b")
    normaliser.text("pid 3", "tools/a")
    assert normaliser.said == (
        "tools/a: numbers of processes are left out.",
        "tools/b: numbers of processes are left out.",
    )


PIECES = st.sampled_from(
    [
        *(
            "2026-11-21",
            "T",
            " ",
            "15:23",
            ":43",
            "Z",
            "+00:00",
            "today ",
            "now",
            "pid ",
            "17",
            "-",
        ),
        *(
            "/tmp/tmp",
            "a1b2c3d4",
            ".",
            "localhost:",
            "43125",
            "127.0.0.1:",
            UUID,
            "0a1b2c3d4e",
            "<",
        ),
        *(">", "Sat, ", "21 Nov 2026 ", "<time>", "<hex>", "/", "_", "*", "tmp", "objects/", "ab"),
    ]
)
MADE = st.lists(PIECES | st.text(max_size=3), max_size=12).map("".join)


@given(MADE)
@settings(max_examples=300)
def test_texts_are_normalised_once_for_all(value: str):
    once = text(value)
    assert text(once) == once


@given(MADE)
@settings(max_examples=300)
def test_paths_are_normalised_once_for_all(value: str):
    once = path(f"/{value}")
    assert path(once) == once


# --- paths ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("differs", "written"),
    [
        ("/data/notes.txt.874dcc9351c5566bc6175c66429e2d48.tmp", "/data/notes.txt.*.tmp"),
        (f"/data/{UUID}/x", "/data/*/x"),
        ("/var/log/app.4242.log", "/var/log/app.*.log"),
        ("/data/2026-11-21/x", "/data/*/x"),
        ("/data/report_2026_11.csv", "/data/report_*.csv"),
        ("/proc/7/environ", "/proc/*/environ"),
        ("/repo/.git/objects/3f/2b8c1e5d474a6b9c801e2d3c4b5a69", "/repo/.git/objects/*/*"),
        ("/repo/.git/objects/ab", "/repo/.git/objects/*"),
        ("/repo/.git/objects/tmp_obj_Ab3dEf", "/repo/.git/objects/tmp_obj_*"),
        ("/data/tmpa1b2c3d4", "/data/tmp*"),
        ("/data/tmpa1b2c3d4.json", "/data/tmp*.json"),
        ("/data/" + "A" * 200, "/data/*"),
        ("<argument>.0a1b2c3d.tmp", "<argument>.*.tmp"),
    ],
)
def test_parts_of_paths_that_differ_are_stars(differs: str, written: str):
    assert path(differs) == written


@pytest.mark.parametrize(
    "same",
    [
        "/data/v2/notes.txt",
        "/data/mp3/sha256/utf8",
        "/etc/passwd",
        "/data/deadbeef",
        "/data/temporary",
        "/root/.ssh/id_rsa",
        "/repo/objects/abc",
        "<argument>/.git/HEAD",
    ],
)
def test_parts_of_paths_that_are_names_stay(same: str):
    assert path(same) == same


def test_a_folder_with_many_entries_is_one_value():
    few = [f"/data/{'abcdefgh'[at]}" for at in range(MOST_SIBLINGS)]
    assert set(gathered(few).values()) == set(few)
    many = [*few, "/data/z", "/etc/passwd"]
    assert set(gathered(many).values()) == {"/data/*", "/etc/passwd"}


def test_folders_are_gathered_from_the_deepest_up():
    paths = [f"/data/{one}/{two}" for one in "abcdefghij" for two in "klmnopqrst"]
    assert set(gathered(paths).values()) == {"/data/*"}
    some = [f"/data/{one}/{two}" for one in "ab" for two in "klmnopqrst"]
    assert set(gathered(some).values()) == {"/data/a/*", "/data/b/*"}


def test_the_root_is_never_gathered():
    paths = [f"/{one}" for one in "abcdefghijkl"]
    assert set(gathered(paths).values()) == set(paths)


@given(st.lists(MADE.map(lambda one: f"/{one}"), max_size=40))
def test_gathering_does_not_depend_on_the_order(paths: list[str]):
    assert gathered(paths) == gathered(reversed(paths))


@pytest.mark.parametrize(
    ("endpoint", "written"),
    [
        ("127.0.0.1:43125", "127.0.0.1:*"),
        ("[::1]:51000", "[::1]:*"),
        ("127.0.0.1:6379", "127.0.0.1:6379"),
    ],
)
def test_a_port_that_the_kernel_chose_is_a_star(endpoint: str, written: str):
    assert normalise.local_endpoint(endpoint) == written


def test_a_lone_surrogate_becomes_its_escape():
    assert normalise.writable("a\ud800b") == r"a\ud800b"
    assert Normaliser().json({"\ud800": "\udfff"}, "server") == {r"\ud800": r"\udfff"}
