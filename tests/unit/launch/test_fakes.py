"""Made-up values: of their kind, the same each time, never over the user's, secrets by the mint."""

from __future__ import annotations

import json
import re

import pytest

from mcp_sandbox.launch import needs
from mcp_sandbox.launch.fakes import FILES
from mcp_sandbox.launch.inventor import MAX_INVENTED, Inventor
from mcp_sandbox.launch.kinds import kind, may_be_set
from mcp_sandbox.model.launch import Needed, SettingKind, Where

ENVIRONMENT = Where.ENVIRONMENT


def inventor(*taken: str, seed: int = 0) -> tuple[Inventor, list[tuple[str, str, str]]]:
    minted: list[tuple[str, str, str]] = []

    def mint(place: str, name: str, form: str) -> str:
        minted.append((place, name, form))
        return form.replace("{}", "s3cr3t") if form else "s3cr3t"

    return Inventor(seed, mint, taken), minted


def wanted(name: str, where: Where = ENVIRONMENT, value: str = "") -> Needed:
    return Needed(name, where, kind(name), "test", value=value)


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("ACME_URL", r"https://api\.internal\.example"),
        ("ACME_WS_URL", r"wss://api\.internal\.example"),
        ("ACME_HOST", r"service\.internal\.example"),
        ("ACME_PORT", r"[0-9]+"),
        ("ACME_TIMEOUT", r"30"),
        ("ACME_ENABLED", r"false"),
        ("ACME_EMAIL", r"user@example\.com"),
        ("AWS_REGION", r"us-east-1"),
        ("AZURE_TENANT_ID", r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        ("DB_NAME", r"sample"),
        ("SQLITE_PATH", r"/tmp/sample\.db"),
        ("VAULT_DIR", r"/tmp"),
        ("CONFIG_FILE", rf"{FILES}/settings\.json"),
        ("ACME_CONFIG_PATH", rf"{FILES}/settings\.json"),
        ("ACME_PATH", r"/tmp"),
        ("ACME_THING", r"sample"),
    ],
)
def test_a_value_is_of_its_kind(name: str, pattern: str):
    made, minted = inventor()
    assert made.add([wanted(name)])
    (setting,) = made.settings
    assert re.fullmatch(f"{name}={pattern}", setting)
    assert minted == []
    assert made.invented[0].shown == setting.partition("=")[2]


def test_a_secret_is_minted_and_not_shown():
    made, minted = inventor()
    assert made.add([wanted("ACME_API_KEY"), wanted("--token", Where.FLAG)])
    assert made.secrets == {"ACME_API_KEY": "s3cr3t"}
    assert made.settings == ()
    assert made.arguments == (("--token=s3cr3t", "--token=<planted:argument:--token>"),)
    assert [one.shown for one in made.invented] == ["", ""]
    assert minted == [("env:ACME_API_KEY", "ACME_API_KEY", ""), ("argument:--token", "--token", "")]


@pytest.mark.parametrize(
    ("name", "scheme"),
    [("DATABASE_URL", "postgresql://"), ("MONGODB_URI", "mongodb://"), ("REDIS_URL", "redis://")],
)
def test_a_database_is_a_secret_first_and_then_a_file(name: str, scheme: str):
    made, _ = inventor()
    made.add([wanted(name)])
    assert made.secrets[name].startswith(scheme)
    assert "s3cr3t" in made.secrets[name]
    assert made.add([wanted(name)])
    assert made.secrets == {}
    assert made.settings == (f"{name}=sqlite:////tmp/sample.db",)


def test_what_is_refused_is_tried_otherwise_until_nothing_is_left():
    made, _ = inventor()
    values = []
    while made.add([wanted("ACME_ENABLED")]):
        values += made.settings
    assert values == ["ACME_ENABLED=false", "ACME_ENABLED=0"]
    assert len(made.invented) == 1


def test_reconsidering_changes_one_setting_at_a_time():
    made, _ = inventor()
    made.add([wanted("ACME_API_KEY"), wanted("ACME_URL"), wanted("ACME_ENABLED")])
    before = made.settings
    assert made.reconsider()
    assert len(set(before) - set(made.settings)) == 1
    count = 1
    while made.reconsider():
        count += 1
    assert count == 3  # two more addresses, one more truth value, and no other secret


def test_a_database_is_reconsidered_first():
    made, _ = inventor()
    made.add([wanted("ACME_URL"), wanted("DATABASE_URL"), wanted("ACME_DIR")])
    url = made.settings[0]
    assert made.reconsider()
    assert made.settings == (url, "DATABASE_URL=sqlite:////tmp/sample.db", "ACME_DIR=/tmp")


def test_the_user_has_the_last_word():
    made, minted = inventor("ACME_API_KEY", "--port")
    assert not made.add([wanted("ACME_API_KEY"), wanted("--port", Where.FLAG)])
    assert (made.secrets, made.settings, made.arguments, minted) == ({}, (), (), [])


@pytest.mark.parametrize("name", ["PATH", "LD_PRELOAD", "NODE_OPTIONS", "A", "a b", "X" * 65])
def test_what_steers_a_loader_is_never_set(name: str):
    assert not may_be_set(name)
    made, _ = inventor()
    assert not made.add([Needed(name, ENVIRONMENT, SettingKind.TEXT, "test")])


def test_arguments_stand_in_their_order():
    made, _ = inventor()
    made.add(
        [
            wanted("folder", Where.POSITIONAL),
            wanted("-k", Where.FLAG),
            wanted("--url", Where.FLAG),
            Needed("stdio", Where.POSITIONAL, SettingKind.CHOICE, "test", choices=("stdio",)),
        ]
    )
    words = [word for word, _ in made.arguments]
    assert words == ["stdio", "-k", "sample", "--url=https://api.internal.example", "/tmp"]
    assert made.folders == ("/tmp",)


def test_files_are_what_they_claim_to_be():
    made, minted = inventor()
    made.add(
        [wanted("GOOGLE_APPLICATION_CREDENTIALS"), wanted("OPENAPI_SPEC"), wanted("KUBECONFIG")]
    )
    google = json.loads(made.files[f"{FILES}/credentials.json"])
    assert "s3cr3t" in google["private_key"]
    assert json.loads(made.files[f"{FILES}/openapi.json"])["paths"]
    assert b"token: s3cr3t" in made.files[f"{FILES}/kubeconfig.yaml"]
    assert {place for place, _, _ in minted} == {
        "env:GOOGLE_APPLICATION_CREDENTIALS",
        "env:KUBECONFIG",
    }
    assert made.secrets == {}  # the paths are no secret
    assert len(made.settings) == 3


def test_a_file_stands_where_the_server_looks_for_it():
    made, minted = inventor()
    path = "/home/server/.gmail-mcp/gcp-oauth.keys.json"
    assert made.add([Needed(path, Where.FILE, SettingKind.FILE, "its last words")])
    client = json.loads(made.files[path])["installed"]
    assert client["client_secret"] == "s3cr3t"
    assert minted[0][0] == f"setting:{path}"  # what begins with "file:" is a decoy
    assert (made.secrets, made.settings, made.arguments) == ({}, (), ())
    assert [(one.name, one.shown) for one in made.invented] == [(path, "")]
    assert not made.add([Needed(path, Where.FILE, SettingKind.FILE, "its last words")])


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("GOOGLE_OAUTH_CREDENTIALS", "installed"),
        ("GOOGLE_CREDENTIALS", "private_key"),
        ("ACME_SERVICE_ACCOUNT_FILE", "private_key"),
        ("ACME_TOKEN_FILE", "refresh_token"),
    ],
)
def test_a_file_holds_what_its_name_tells(name: str, holds: str):
    made, _ = inventor()
    assert made.add([Needed(name, ENVIRONMENT, SettingKind.FILE, "test")])
    (path,) = made.files
    assert holds in json.loads(made.files[path])
    assert made.settings == (f"{name}={path}",)


def test_what_was_opened_as_a_file_becomes_one():
    made, _ = inventor()
    made.add([wanted("GOOGLE_OAUTH_CREDENTIALS"), wanted("ACME_STATE_PATH"), wanted("ACME_THING")])
    assert set(made.secrets) == {"GOOGLE_OAUTH_CREDENTIALS"}
    text = (
        "Original error: ENOENT: no such file or directory, open "
        "'/home/server/<planted:env:GOOGLE_OAUTH_CREDENTIALS>'\n"
        "IsADirectoryError: [Errno 21] Is a directory: '/tmp'"
    )
    assert made.opened(text) == ("GOOGLE_OAUTH_CREDENTIALS", "ACME_STATE_PATH")
    assert made.secrets == {}
    assert made.settings[0] == f"GOOGLE_OAUTH_CREDENTIALS={FILES}/client.json"
    assert made.settings[2] == "ACME_THING=sample"
    assert "installed" in json.loads(made.files[f"{FILES}/client.json"])
    assert made.opened(text) == ()


def test_what_was_to_be_written_is_put_where_it_can_be():
    made, _ = inventor()
    made.add([wanted("ACME_TOKEN_PATH"), wanted("ACME_CONFIG_FILE")])
    text = f"Failed to start server: EROFS: read-only file system, open '{FILES}/token.json'"
    assert made.written(text) == ("ACME_TOKEN_PATH",)
    assert made.settings == (
        "ACME_TOKEN_PATH=/tmp/token.json",
        f"ACME_CONFIG_FILE={FILES}/settings.json",
    )
    assert made.written(text) == ()


@pytest.mark.parametrize(
    "text",
    [
        f"ENOENT: no such file or directory, open '{FILES}/token.json'",
        "EROFS: read-only file system, open '/srv/other/token.json'",
        f"EROFS: read-only file system, mkdir '{FILES}/token.json.d'",
    ],
)
def test_what_was_not_to_be_written_stays(text: str):
    made, _ = inventor()
    made.add([wanted("ACME_TOKEN_PATH")])
    assert made.written(text) == ()
    assert made.settings == (f"ACME_TOKEN_PATH={FILES}/token.json",)


def test_a_folder_that_was_read_becomes_a_file():
    made, _ = inventor()
    made.add([wanted("ACME_DIR"), wanted("ACME_STATE_PATH"), wanted("ACME_THING")])
    assert made.opened("Failed to start: EISDIR: illegal operation on a directory, read") == (
        "ACME_STATE_PATH",
    )
    assert made.settings == (
        "ACME_DIR=/tmp",
        f"ACME_STATE_PATH={FILES}/settings.json",
        "ACME_THING=sample",
    )


@pytest.mark.parametrize(
    "text",
    [
        "ENOENT: no such file or directory, open '/srv/samples'",
        "Failed to start: EISDIR: illegal operation on a directory, read",
        "the value 'sample' is not known",
        "ENOENT: no such file or directory, open '/srv/sample/x'",
    ],
)
def test_what_was_not_opened_stays(text: str):
    made, _ = inventor()
    made.add([wanted("ACME_THING")])
    assert made.opened(text) == ()
    assert made.settings == ("ACME_THING=sample",)


def test_a_default_comes_first_and_a_placeholder_never():
    made, _ = inventor()
    made.add([wanted("ACME_MODE", value="fast"), wanted("ACME_NAME", value="<your-name>")])
    assert set(made.settings) == {"ACME_MODE=fast", "ACME_NAME=sample"}


def test_the_seed_decides():
    ids = []
    for seed in (1, 1, 2):
        made, _ = inventor(seed=seed)
        made.add([wanted("AZURE_TENANT_ID")])
        ids.append(made.settings)
    assert ids[0] == ids[1] != ids[2]


def test_there_is_a_bound():
    made, _ = inventor()
    made.add([wanted(f"ACME_THING_{n}") for n in range(1000)])
    assert len(made.invented) == MAX_INVENTED


def test_nothing_of_a_text_is_lost_on_the_way():
    made, _ = inventor()
    made.add(needs.in_text("Missing required environment variables: A_URL, B_TOKEN"))
    assert [one.name for one in made.invented] == ["A_URL", "B_TOKEN"]
    assert {one.source for one in made.invented} == {"its last words"}
