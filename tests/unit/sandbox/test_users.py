"""Who a server runs as, and where its home is."""

from __future__ import annotations

import pytest

from mcp_sandbox.model import Relaxation
from mcp_sandbox.sandbox.users import effective_user, home, numbers

PASSWD = b"""root:x:0:0:root:/root:/bin/sh
toor:x:0:0::/root:/bin/sh
app:x:1000:1000::/home/app:/bin/sh
nohome:x:1001:1001:::/bin/sh
broken
\xff\xfe:x:1002:1002::/x:/bin/sh
"""


@pytest.mark.parametrize("user", ["", "0", "root", "0:0", "root:root", "root:app", "00", "toor"])
def test_root_under_every_name_is_given_an_unprivileged_user(user: str):
    assert effective_user(user, PASSWD, Relaxation.NONE) == "65532:65532"
    assert effective_user(user, PASSWD, Relaxation.MORE_MEMORY) == "65532:65532"
    assert effective_user(user, PASSWD, Relaxation.IMAGE_USER) == user


@pytest.mark.parametrize("user", ["app", "1000", "app:0", "1000:1000", "unknown"])
def test_another_user_stays(user: str):
    assert effective_user(user, PASSWD, Relaxation.NONE) == user


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("app", "/home/app"),
        ("1000:5", "/home/app"),
        ("65532:65532", "/"),
        ("nohome", "/"),
        ("unknown", "/"),
        ("", "/root"),
    ],
)
def test_home(user: str, expected: str):
    assert home(user, PASSWD, ()) == expected


def test_home_of_the_environment_wins():
    assert home("app", PASSWD, ("HOME=/a", "X=1", "HOME=/b")) == "/b"
    assert home("app", PASSWD, ("HOME=",)) == "/home/app"
    assert home("app", b"", ()) == "/"


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("app", (1000, 1000)),
        ("1000", (1000, 1000)),
        ("1000:5", (1000, 5)),
        ("65532:65532", (65532, 65532)),
        ("77", (77, 0)),
        ("app:staff", (1000, 1000)),
        ("", (0, 0)),
        ("unknown", (0, 0)),
    ],
)
def test_numbers(user: str, expected: tuple[int, int]):
    assert numbers(user, PASSWD) == expected
