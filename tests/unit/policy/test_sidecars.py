"""``[launch.sidecar.NAME]``: read strictly, with the line of every mistake."""

from __future__ import annotations

from datetime import date

import pytest

from mcp_sandbox.errors import PolicyUnreadable
from mcp_sandbox.model.launch import Sidecar
from mcp_sandbox.policy import file

TODAY = date(2026, 11, 21)
WHOLE = """\
[launch]
memory = "512m"

[launch.sidecar.db]
image = "postgres:17"
port = 5432
user = "999:999"
env = { POSTGRES_PASSWORD = "unused", POSTGRES_DB = "app" }

[launch.sidecar.cache]
image = "redis:8"
port = 6379
"""


def load(text: str):
    return file.load(text.encode(), rules=(), today=TODAY)


def test_sidecars_are_read_beside_the_settings():
    policy = load(WHOLE)
    assert policy.sidecars == (
        Sidecar(
            "db",
            "postgres:17",
            5432,
            ("POSTGRES_PASSWORD=unused", "POSTGRES_DB=app"),
            "999:999",
        ),
        Sidecar("cache", "redis:8", 6379),
    )
    assert policy.settings == {"memory": "512m"}


def test_there_is_none_by_default():
    assert load("[launch]\nmemory = '512m'\n").sidecars == ()


@pytest.mark.parametrize(
    ("table", "line", "words"),
    [
        ("image = 'a'", 1, "needs 'port'"),
        ("port = 1", 1, "needs 'image'"),
        ("image = 'a'\nport = 0", 3, "from 1 to 65535"),
        ("image = 'a'\nport = true", 3, "from 1 to 65535"),
        ("image = 'a'\nport = '1'", 3, "from 1 to 65535"),
        ("image = '-a'\nport = 1", 2, "no image reference"),
        ("image = 'a b'\nport = 1", 2, "no image reference"),
        ("image = 7\nport = 1", 2, "a text in quotes"),
        ("image = 'a'\nport = 1\nuser = 'root'", 4, "UID or UID:GID"),
        ("image = 'a'\nport = 1\nuser = '0:0'", 4, "not root"),
        ("image = 'a'\nport = 1\nenv = ['A=1']", 4, "a table of texts"),
        ("image = 'a'\nport = 1\nenv = { A = 1 }", 4, "a text in quotes"),
        ("image = 'a'\nport = 1\nenv = { 'A B' = 'x' }", 4, "expected NAME=VALUE"),
        ("image = 'a'\nport = 1\nprivileged = true", 4, "there is no key 'privileged'"),
        ("image = 'a'\nport = 1\nvolumes = ['/:/host']", 4, "there is no key 'volumes'"),
    ],
)
def test_a_mistake_is_named_with_its_line(table: str, line: int, words: str):
    with pytest.raises(PolicyUnreadable) as caught:
        load(f"[launch.sidecar.db]\n{table}\n")
    assert f"line {line}: " in caught.value.what
    assert words in caught.value.what


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[launch]\nsidecar = 1\n", "of its own"),
        ("[[launch.sidecar]]\nimage = 'a'\nport = 1\n", "of its own"),
        ("[launch.sidecar.Db]\nimage = 'a'\nport = 1\n", "is no name"),
        ("[launch.sidecar]\ndb = 'postgres'\n", "is a table"),
        (
            "".join(f"[launch.sidecar.n{n}]\nimage = 'a'\nport = {n + 1}\n" for n in range(5)),
            "at most 4",
        ),
        (
            "".join(f"[launch.sidecar.{name}]\nimage = 'a'\nport = 1\n" for name in "ab"),
            "another sidecar's",
        ),
    ],
)
def test_what_cannot_be_is_refused(text: str, words: str):
    with pytest.raises(PolicyUnreadable) as caught:
        load(text)
    assert words in caught.value.what
