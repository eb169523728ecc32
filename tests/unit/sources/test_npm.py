"""What npm says of a package, as a lock, a command, or one sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mcp_sandbox.errors import ExitCode, SandboxError, SourceUnusable
from mcp_sandbox.sources import npm, recipe
from mcp_sandbox.sources.names import parse
from mcp_sandbox.sources.recipe import Wishes

SOURCE = parse("npm:@org/a-server@1.0.0")
NONE = Wishes()


def lock(own: dict[str, Any] | None = None, **others: Any) -> dict[str, bytes]:
    bare = {"version": "1.0.0", "integrity": "sha512-x", "bin": {"a-server": "dist/index.js"}}
    packages = {"": {}, "node_modules/@org/a-server": bare | (own or {})}
    packages |= {f"node_modules/{name}": about for name, about in others.items()}
    return {"package-lock.json": json.dumps({"lockfileVersion": 3, "packages": packages}).encode()}


def test_the_image_is_made_of_the_lock_without_scripts_and_not_as_root():
    found = lock(b={"version": "2.0.0", "integrity": "sha512-y"})
    made = npm.made(SOURCE, NONE, found)
    assert made.files["package-lock.json"] == found["package-lock.json"]
    assert made.files["npmrc"] == b"ignore-scripts=true\n"
    assert json.loads(made.files["package.json"])["dependencies"] == {"@org/a-server": "1.0.0"}
    last = made.files["Dockerfile"].decode().rpartition("\nFROM ")[2]
    assert "npm" not in last
    assert last.endswith('USER 65532:65532\nWORKDIR /home/server\n'
                         'ENTRYPOINT ["/app/node_modules/.bin/a-server"]\n')  # fmt: skip
    assert made.facts.packages == ("@org/a-server@1.0.0", "b@2.0.0")
    assert (made.facts.scripts, made.facts.notes) == (False, ())


def test_scripts_run_only_when_they_are_asked_for_and_are_told_of():
    found = lock(b={"version": "1", "integrity": "x", "hasInstallScript": True})
    made = npm.made(SOURCE, NONE, found)
    assert made.facts.notes == ("install scripts of these packages were not run: b",)
    made = npm.made(SOURCE, Wishes(install_scripts=True), found)
    assert made.files["npmrc"] == b"ignore-scripts=false\n"
    assert made.facts.scripts is True
    assert made.facts.notes == (
        "install scripts of these packages ran while they were installed: b",
    )


def test_compilers_come_with_scripts_alone_and_stay_behind():
    """They are in a stage that nothing but the installed packages and Node itself is taken from."""
    plain, scripted = Wishes(), Wishes(install_scripts=True)
    assert npm.asking(SOURCE, plain)["tools.txt"] == b"python3-venv\n"
    assert npm.asking(SOURCE, scripted)["tools.txt"] == b"python3-venv\ng++\nmake\npkgconf\n"
    made = npm.made(SOURCE, scripted, lock())
    assert b"g++\n" in made.files["tools.txt"]
    assert b"g++" not in made.files["system.txt"]
    assert "npm_config_nodedir=/opt/node\n" in made.files["Dockerfile"].decode()


def test_what_is_installed_belongs_to_the_server():
    """Where people run a package it is theirs, and some make a program of theirs executable."""
    assert (
        b"COPY --from=installed --chown=65532:65532 /app /app\n"
        in (npm.made(SOURCE, NONE, lock()).files["Dockerfile"])
    )


def test_what_has_no_hash_and_what_is_deprecated_is_told():
    made = npm.made(
        SOURCE,
        NONE,
        lock(
            {"deprecated": "use another"},
            b={"version": "1", "resolved": "git+ssh://x"},
            c={"version": "1", "inBundle": True},
            d={"link": True},
        ),
    )
    assert made.facts.notes == (
        "without a hash: b",
        "deprecated by who published it: use another",
    )


def test_an_optional_package_that_is_not_to_be_had_is_not_asked_for_again():
    """npm leaves it out of its lock, and ``npm ci`` then refuses the lock."""
    wishes = {"a-server-linux": "1.0.0", "a-server-beos": "1.0.0", "within": "1"}
    found = lock(
        {"optionalDependencies": wishes, "dependencies": {"b": "1"}},
        **{
            "a-server-linux": {"version": "1.0.0", "integrity": "x", "optional": True},
            "@org/a-server/node_modules/within": {"version": "1.0.0", "integrity": "y"},
        },
    )
    made = npm.made(SOURCE, NONE, found)
    whole = json.loads(made.files["package-lock.json"])
    own = whole["packages"]["node_modules/@org/a-server"]
    assert own["optionalDependencies"] == {"a-server-linux": "1.0.0", "within": "1"}
    assert own["dependencies"] == {"b": "1"}
    assert made.facts.lock == recipe.digest(made.files["package-lock.json"])
    assert made.facts.notes == (
        "optional packages that are not to be had were left out: a-server-beos",
    )
    without = json.loads(found["package-lock.json"])
    del without["packages"]["node_modules/@org/a-server"]["optionalDependencies"]
    del own["optionalDependencies"]
    assert whole == without


def test_a_lock_with_all_its_optional_packages_stays_as_it_is():
    """Those of other platforms are in it, and one may be beside what is around the package."""
    found = lock(
        b={"version": "1", "integrity": "x", "optionalDependencies": {"c": "1"}},
        **{
            "b/node_modules/@d/e": {
                "version": "1",
                "integrity": "x",
                "optionalDependencies": {"c": "1", "@d/f": "1"},
            },
            "b/node_modules/@d/f": {"version": "1", "integrity": "x", "os": ["beos"]},
            "c": {"version": "1", "integrity": "x", "os": ["win32"]},
        },
    )
    made = npm.made(SOURCE, NONE, found)
    assert made.files["package-lock.json"] == found["package-lock.json"]
    assert made.facts.notes == ()


def test_an_optional_package_that_only_another_one_can_see_is_not_there():
    found = lock(
        {"optionalDependencies": {"c": "1"}},
        b={"version": "1", "integrity": "x"},
        **{"b/node_modules/c": {"version": "1", "integrity": "x"}},
    )
    assert "left out: c" in npm.made(SOURCE, NONE, found).facts.notes[0]


def test_a_path_of_any_depth_in_a_lock_is_walked_and_too_many_wishes_are_refused():
    deep = "/".join(["x"] * 100_000).replace("/", "/node_modules/")
    wishes = {f"w{n}": "1" for n in range(npm.MAX_OPTIONAL)}
    about = {"version": "1", "integrity": "x", "optionalDependencies": wishes}
    assert "left out: w0, w1, w10" in npm.made(SOURCE, NONE, lock(**{deep: about})).facts.notes[0]
    with pytest.raises(SourceUnusable, match="too many optional"):
        npm.made(SOURCE, NONE, lock({"optionalDependencies": {"c": "1"}}, **{deep: about}))


@pytest.mark.parametrize(
    ("own", "wish", "said"),
    [
        ({"bin": None}, "", "has nothing to start: its package.json names no `bin`"),
        ({"bin": {}}, "", "has nothing to start"),
        ({"bin": "x.js"}, "", "has nothing to start"),
        ({"bin": {"a/b": "x", "$(x)": "y"}}, "", "has nothing to start"),
        ({"bin": {"b": "x", "c": "y"}}, "", "has several commands"),
        ({}, "d", "has no command 'd'; it has a-server"),
        ({"version": "2.0.0"}, "", "did not resolve"),
    ],
)
def test_a_command_that_nothing_tells_is_not_guessed(own: dict[str, Any], wish: str, said: str):
    with pytest.raises(SourceUnusable, match=said):
        npm.made(SOURCE, Wishes(entry_point=wish), lock(own))


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"[" * 100_000, b"{}", b'{"packages": []}', b'{"packages": {"": 7}}']
)
def test_a_lock_that_is_none_is_refused(data: bytes):
    with pytest.raises(SourceUnusable, match=r"cannot be read|names no packages|did not resolve"):
        npm.made(SOURCE, NONE, {"package-lock.json": data})


NOT_THERE = (
    "npm error code ETARGET\nnpm error notarget No matching version found for {}.\n"
    "npm error notarget In most cases you are requesting a version that doesn't exist.\n"
)
UNKNOWN = "npm error code E404\nnpm error 404  The requested resource '{}' could not be found or\n"
OLD_UNKNOWN = "npm ERR! code E404\nnpm ERR! 404  '{}' is not in this registry.\n"


@pytest.mark.parametrize(
    ("log", "said", "code"),
    [
        (NOT_THERE.format("@org/a-server@1.0.0"), "Version 1.0.0 of @org/a-server is not there", 2),
        (NOT_THERE.format("b@^9"), "it needs b@^9, which is not there", 2),
        (UNKNOWN.format("@org/a-server@1.0.0"), "There is no package '@org/a-server'", 2),
        (OLD_UNKNOWN.format("@org/a-server@1.0.0"), "There is no package '@org/a-server'", 2),
        (UNKNOWN.format("b@1"), "it needs b@1, which is not there", 2),
        ("npm error code ERESOLVE", "see npm's last words", 2),
        ("", "see npm's last words", 2),
        ("npm error code ENOTFOUND", "The package index could not be asked", 3),
        ("npm error code EAI_AGAIN", "The package index could not be asked", 3),
        ("npm error code E503", "The package index could not be asked", 3),
        ("npm error code UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "could not be asked", 3),
    ],
)
def test_what_npm_refuses_is_one_sentence(log: str, said: str, code: int):
    with pytest.raises(SandboxError) as caught:
        npm.made(SOURCE, NONE, {"log": log.encode()})
    assert said in caught.value.what
    assert caught.value.exit_code == ExitCode(code)
    assert caught.value.next_step
    assert caught.value.detail == log.rstrip()


def test_a_constraint_overrides_what_a_dependency_asks_for():
    files = npm.asking(SOURCE, Wishes(constraints=("zod@^3", "@a/b@1.x || 2")))
    assert json.loads(files["package.json"])["overrides"] == {"zod": "^3", "@a/b": "1.x || 2"}
    for bad in ("", "zod", "zod@", "zod@git+ssh://x", "zod@file:x", "zod@npm:x"):
        with pytest.raises(SourceUnusable, match="is none of npm's"):
            npm.asking(SOURCE, Wishes(constraints=(bad,)))
