"""Links, the repository, and the settings that an image leaves empty."""

from __future__ import annotations

import hashlib
import posixpath
import struct
import zlib

import pytest

from mcp_sandbox.model import LaunchFacts
from mcp_sandbox.planted import Matcher, declared, make
from mcp_sandbox.planted.repository import repository

CORE = "abcdefgh012345678ijklmnop"


# --- links and repository -------------------------------------------------------------------------


def test_links_lie_in_every_given_folder_and_lead_to_planted_files_outside() -> None:
    planted = make("r", home="/root", directories=("/srv/allow/", "/", "/data"))
    assert planted.links == {}, "nothing is outside of /"
    planted = make("r", home="/root", directories=("/srv/allow/", "/data"))
    assert {posixpath.dirname(path) for path in planted.links} == {"/srv/allow", "/data"}
    reached = {target for target in planted.links.values() if target in planted.files}
    (file,) = reached
    assert set(planted.links.values()) == {file, posixpath.dirname(file)}
    assert planted.links[planted.link] == file
    folder, name = posixpath.split(planted.linked_file)
    assert f"{planted.links[folder]}/{name}" == file
    assert file != planted.outside_file, "which way was taken shows in the place"
    assert f"file:{file}" in planted.places


def test_a_server_without_a_folder_gets_neither_links_nor_a_repository() -> None:
    planted = make("r", home="/root")
    assert (planted.links, planted.link, planted.linked_file) == ({}, "", "")
    assert (planted.repository, planted.owned) == ("", ())
    assert not [path for path in planted.files if "/.git/" in path]


def test_the_repository_lies_outside_and_belongs_to_the_server() -> None:
    planted = make("r", home="/root", directories=("/opt", "/srv/allow"))
    assert planted.owned == (planted.repository,)
    assert not planted.repository.startswith(("/opt/", "/srv/allow/"))
    assert f"{planted.repository}/.git/HEAD" in planted.files


def test_no_path_and_no_link_holds_a_secret() -> None:
    planted = make("r", home="/root", directories=("/srv/allow",))
    everything = "\n".join((*planted.files, *planted.links, *planted.links.values()))
    assert Matcher(planted).find(everything.encode()) == ()


def test_objects_have_the_names_of_their_content() -> None:
    files = repository(CORE)
    objects = {
        path.removeprefix(".git/objects/").replace("/", ""): zlib.decompress(data)
        for path, data in files.items()
        if "/objects/" in path
    }
    assert len(objects) == 4
    for name, data in objects.items():
        assert hashlib.sha1(data, usedforsecurity=False).hexdigest() == name
        head, _, content = data.partition(b"\0")
        assert int(head.split()[1]) == len(content)
    branch = files[".git/HEAD"].decode().removeprefix("ref: ").strip()
    commit, name = files[".git/packed-refs"].decode().split()
    assert name == branch
    assert CORE in branch
    assert CORE.encode() in objects[commit]
    tree = objects[commit].split(b"tree ")[1][:40].decode()
    assert b"service-token.txt" in objects[tree]


def test_the_index_is_whole() -> None:
    index = repository(CORE)[".git/index"]
    assert index[:12] == struct.pack(">4sII", b"DIRC", 2, 1)
    assert hashlib.sha1(index[:-20], usedforsecurity=False).digest() == index[-20:]
    assert (len(index) - 12 - 20) % 8 == 0


# --- declared -------------------------------------------------------------------------------------


def names(*environment: str, given: tuple[str, ...] = ()) -> tuple[str, ...]:
    return declared(LaunchFacts(environment=environment), given)


@pytest.mark.parametrize(
    "value",
    [
        "", " ", "changeme", "change-me", "CHANGE_ME", "<token>", "<your token here>",
        "your_token_here", "YOUR_API_KEY", "sk-your-key", "xxx", "xxxxxxxx", "ghp_xxxxxxxxxxxx",
        "placeholder", "my-placeholder", "${API_TOKEN}", "$TOKEN", "{{token}}", "[token]", "none",
        "null", "TODO", "replace_me", "replace-with-your-key", "...", "***", '""', "dummy",
        "insert-your-key", "sk-xxxxxxxx", "your-api-key",
    ],
)  # fmt: skip
def test_an_empty_or_placeholder_value_waits_for_a_secret(value: str) -> None:
    assert names(f"API_TOKEN={value}") == ("API_TOKEN",)


@pytest.mark.parametrize(
    "value",
    ["s3cr3t-real", "ghp_0a1b2c3d4e5f", "postgres://a:b@db/x", "1", "/run/secrets/token",
     "https://example.org/token", "x" * 1_000, "yourself0a1b2c3d".replace("your", "")],
)  # fmt: skip
def test_a_real_value_is_the_images_own(value: str) -> None:
    assert names(f"API_TOKEN={value}") == ()


@pytest.mark.parametrize(
    "name",
    ["API_KEY", "OPENAI_API_KEY", "GITHUB_PERSONAL_ACCESS_TOKEN", "NOTION_TOKEN", "DB_PASSWORD",
     "DATABASE_URL", "POSTGRES_URI", "CLIENT_SECRET", "SENTRY_DSN", "AWS_SECRET_ACCESS_KEY",
     "GITLAB_PAT", "SUPABASE_SERVICE_ROLE_KEY", "AZURE_OPENAI_KEY", "apiToken_token"],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    assert names(f"{name}=") == (name,)


@pytest.mark.parametrize(
    "name",
    ["MAX_TOKENS", "TOKEN_LIMIT", "TOKENIZERS_PARALLELISM", "SORT_KEY", "PUBLIC_KEY", "KEY_FILE",
     "PASSWORD_FILE", "PATH", "LOG_LEVEL", "BASE_URL", "PYTHONPATH", "SECRET_NAME", "KEYBOARD",
     "DISPATCH", "COMPAT"],
)  # fmt: skip
def test_names_of_other_settings(name: str) -> None:
    assert names(f"{name}=") == ()


def test_the_last_value_of_a_name_counts_and_the_user_comes_first() -> None:
    assert names("A_TOKEN=", "A_TOKEN=real0a1b2c3d", "B_TOKEN=real", "B_TOKEN=") == ("B_TOKEN",)
    assert names("A_TOKEN=", "B_TOKEN=", given=("A_TOKEN=mine", "C=1")) == ("B_TOKEN",)


def test_hostile_values_are_decided_in_linear_time() -> None:
    for text in ("x" * 100_000, "your" * 50_000, "${" * 50_000, "_" * 199 + "a", "change_" * 28):
        assert len(names(f"A_TOKEN={text}")) <= 1
    assert names("X" * 10_000 + "=") == ()
    assert names("A_" * 100_000 + "=") == ()


def test_what_is_declared_is_planted_in_its_shape() -> None:
    launch = LaunchFacts(environment=("OPENAI_API_KEY=", "DATABASE_URL=<url>", "GITHUB_TOKEN="))
    planted = make("r", home="/", declared=declared(launch))
    assert planted.environment["OPENAI_API_KEY"].startswith("sk-proj-")
    assert planted.environment["DATABASE_URL"].startswith("postgresql://")
    assert planted.skipped == ()
