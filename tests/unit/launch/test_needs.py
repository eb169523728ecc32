"""What a server says that it lacks, in the words of its libraries, and what only looks like it."""

from __future__ import annotations

import random

import pytest

from mcp_sandbox.launch import needs
from mcp_sandbox.model.launch import SettingKind, Where

ZOD = """ZodError: [
  {
    "code": "invalid_type",
    "expected": "string",
    "received": "undefined",
    "path": [
      "API_KEY"
    ],
    "message": "Required"
  }
]
    at get error [as error] (/app/node_modules/zod/lib/types.js:43:31)"""
ZOD_PRINTED = """Error: Invalid environment: [
  {
    expected: 'string',
    code: 'invalid_type',
    path: [ 'baseUrl' ],
    message: 'Invalid input: expected string, received undefined'
  }
]"""
PYDANTIC = """pydantic_core._pydantic_core.ValidationError: 2 validation errors for GitHubSettings
api_key
  Field required [type=missing, input_value={}, input_type=dict]
    For further information visit https://errors.pydantic.dev/2.11/v/missing
base_url
  Input should be a valid URL, relative URL without a base [type=url_parsing]"""
CLAP = """error: the following required arguments were not provided:
  --api-key <API_KEY>
  <PATH>

Usage: server --api-key <API_KEY> <PATH>"""
ENVALID = """================================
 Missing environment variables:
    ACME_TOKEN: A token (eg. "abc")
    ACME_URL: undefined
================================
 Exiting with error code 1"""
TYPER = """Usage: server [OPTIONS]
Try 'server --help' for help.
╭─ Error ───────────────────────────╮
│ Missing option '--api-key'.       │
╰───────────────────────────────────╯"""

TOLD = {
    "python KeyError": ("KeyError: 'ACME_TOKEN'", ["ACME_TOKEN"]),
    "python raise": (
        "Traceback (most recent call last):\n"
        '  File "/app/server.py", line 3, in <module>\n'
        "    raise ValueError('ACME_API_KEY environment variable is required')\n"
        "ValueError: ACME_API_KEY environment variable is required",
        ["ACME_API_KEY"],
    ),
    "python source line": ('    token = os.environ["SECRETWORD"]', ["SECRETWORD"]),
    "sentence, not set": ("Error: ACME_API_KEY is not set", ["ACME_API_KEY"]),
    "sentence, set": ("Please set ACME_HOST and ACME_TOKEN", ["ACME_HOST", "ACME_TOKEN"]),
    "alternatives": (
        "Either set ACME_ACCESS_TOKEN or enable OAuth with ACME_USE_OAUTH=true",
        ["ACME_ACCESS_TOKEN"],
    ),
    "alternatives, the other way round": (
        "ACME_CLIENT_ID or ACME_TOKEN_SCRIPT environment variable is required for OAuth",
        ["ACME_CLIENT_ID"],
    ),
    "no alternatives": (
        "ACME_TOKEN is not set or empty. Please set ACME_TOKEN and ACME_URL",
        ["ACME_TOKEN", "ACME_URL"],
    ),
    "a key by its words": ("Error: A Acme api token is required.", ["ACME_API_TOKEN"]),
    "sentence, or": (
        "The api_key client option must be set either by passing api_key to the client or by "
        "setting the OPENAI_API_KEY environment variable",
        ["OPENAI_API_KEY"],
    ),
    "required variable": (
        "Missing required environment variable: TOKEN",
        ["TOKEN"],
    ),
    "list of variables": (
        "Missing required environment variables: JIRA_URL, JIRA_USERNAME, JIRA_API_TOKEN",
        ["JIRA_URL", "JIRA_USERNAME", "JIRA_API_TOKEN"],
    ),
    "list below": (
        "Error: the following environment variables are required:\n  - A1_KEY\n  - B2_KEY\n"
        "\nBye_NOW",
        ["A1_KEY", "B2_KEY"],
    ),
    "export line": ("  export ACME_TOKEN=your-token", ["ACME_TOKEN"]),
    "no key": ("No API key provided. Set `ACME_API_KEY` or see the page.", ["ACME_API_KEY"]),
    "several, with and": (
        "ACME_USER_NAME, ACME_PASSWORD, and ACME_DATABASE are required",
        ["ACME_USER_NAME", "ACME_PASSWORD", "ACME_DATABASE"],
    ),
    "variable before an option": (
        "Key not provided. Pass it as --api-key=$KEY or set the ACME_SECRET_KEY environment "
        "variable.",
        ["ACME_SECRET_KEY"],
    ),
    "in front of another cause": (
        "Error: ACME_API_KEY environment variable is required when using the cloud service",
        ["ACME_API_KEY"],
    ),
    "joi": ('Config validation error: "ACME_SECRET" is required', ["ACME_SECRET"]),
    "go caarlos0": (
        'env: required environment variable "ACME_TOKEN" is not set',
        ["ACME_TOKEN"],
    ),
    "go envconfig": ("required key ACME_TOKEN missing value", ["ACME_TOKEN"]),
    "go cobra": ('Error: required flag(s) "api-key", "url" not set', ["--api-key", "--url"]),
    "go urfave": ('Required flags "api-key, url" not set', ["--api-key", "--url"]),
    "go kong": ("server: error: missing flags: --api-key=STRING", ["--api-key"]),
    "go flag": ("flag -token is required", ["-token"]),
    "rust envy": ("Error: missing value for field api_key", ["API_KEY"]),
    "clap": (CLAP, ["--api-key", "PATH"]),
    "java placeholder": (
        "Could not resolve placeholder 'acme.api-key' in value \"${acme.api-key}\"",
        ["ACME_API_KEY"],
    ),
    "picocli": ("Missing required option: '--api-key=<apiKey>'", ["--api-key"]),
    "argparse": (
        "server.py: error: the following arguments are required: -k/--api-key, folder",
        ["--api-key", "folder"],
    ),
    "argparse, one of": (
        "error: one of the arguments --token --password is required",
        ["--token"],
    ),
    "click": ("Error: Missing option '--api-key' / '-k'.", ["--api-key"]),
    "click with variable": (
        "Error: Missing option '--api-key' (env var: 'ACME_API_KEY').",
        ["ACME_API_KEY"],
    ),
    "click argument": ("Error: Missing argument 'PATH'.", ["PATH"]),
    "typer": (TYPER, ["--api-key"]),
    "commander": (
        "error: required option '-k, --api-key <key>' not specified",
        ["--api-key"],
    ),
    "commander argument": ("error: missing required argument 'folder'", ["folder"]),
    "yargs": ("Missing required arguments: api-key, url", ["--api-key", "--url"]),
    "positional in words": (
        "Please provide a database URL as a command-line argument",
        ["database URL"],
    ),
    "option in a sentence": ("Error: --vault-path is required", ["--vault-path"]),
    "pydantic": (PYDANTIC, ["API_KEY", "GITHUB_API_KEY", "BASE_URL", "GITHUB_BASE_URL"]),
    "zod": (ZOD, ["API_KEY"]),
    "zod, printed": (ZOD_PRINTED, ["BASE_URL"]),
    "zod, flattened": ("{ ACME_KEY: [ 'Required' ] }", ["ACME_KEY"]),
    "envalid": (ENVALID, ["ACME_TOKEN", "ACME_URL"]),
    "boto": ("botocore.exceptions.NoRegionError: You must specify a region.",
             ["AWS_REGION", "AWS_DEFAULT_REGION"]),
    "google": ("Your default credentials were not found.", ["GOOGLE_APPLICATION_CREDENTIALS"]),
    "kubernetes": ("    throw new Error('No active cluster!');\n\nError: No active cluster!",
                   ["KUBECONFIG"]),
    "pass": (
        "Error: No access token was provided.\nRun `sentry-mcp auth login` interactively first, or "
        "pass `--access-token` / `SENTRY_ACCESS_TOKEN`.",
        ["SENTRY_ACCESS_TOKEN"],
    ),
    "names in code": (
        "[WARN] [StorageManager] Failed to initialize: Error: Cannot find module 'keytar.node'\n"
        "            throw new Error('[Lark MCP]  appId, and appSecret are required');\n"
        "                  ^\n\nError: [Lark MCP]  appId, and appSecret are required",
        ["APP_ID", "APP_SECRET"],
    ),
    "one name in code": ("Error: Missing required apiKey", ["API_KEY"]),
    "a file at a folder": (
        "Error: OAuth keys file not found. Please place gcp-oauth.keys.json in current directory or"
        " /home/server/.gmail-mcp",
        ["/home/server/.gmail-mcp/gcp-oauth.keys.json"],
    ),
    "a file of settings, Node": (
        "Error: ENOENT: no such file or directory, open '/home/server/.acme/state.json'",
        ["/home/server/.acme/state.json"],
    ),
    "a file of settings, Python": (
        "FileNotFoundError: [Errno 2] No such file or directory: '/etc/acme/credentials.json'",
        ["/etc/acme/credentials.json"],
    ),
    "a file of settings, Go": (
        "open /config/config.yaml: no such file or directory",
        ["/config/config.yaml"],
    ),
    "a variable before its file": (
        "Config file not found at /etc/acme/config.json\nor set ACME_CONFIG",
        ["ACME_CONFIG"],
    ),
    "icu": (
        "Process terminated. Couldn't find a valid ICU package installed on the system. Please "
        "install libicu (or icu-libs) using your package manager and try again.",
        ["DOTNET_SYSTEM_GLOBALIZATION_INVARIANT"],
    ),
    "escapes": ("\x1b[31mError:\x1b[0m \x1b[1mACME_TOKEN\x1b[22m is not set", ["ACME_TOKEN"]),
    "a warning, when nothing else": ("WARN: ACME_TOKEN is not set", ["ACME_TOKEN"]),
}  # fmt: skip


@pytest.mark.parametrize("case", TOLD)
def test_what_is_missing_is_read(case: str):
    text, names = TOLD[case]
    assert [one.name for one in needs.in_text(text)] == names


SILENT = {
    "KeyError of a word": "KeyError: 'name'",
    "a loader's name": "KeyError: 'LD_PRELOAD'\nPATH is not set\nPlease set NODE_OPTIONS",
    "status of node": "Error [ERR_MODULE_NOT_FOUND]: Cannot find 'x'; ERR_REQUIRE_ESM required",
    "status of grpc": "PERMISSION_DENIED: missing or insufficient permissions, NOT_FOUND",
    "certificate": "unable to verify: SELF_SIGNED_CERT_IN_CHAIN, no value",
    "with a default": "ACME_PORT is not set, using the default 3000",
    "optional": "ACME_REGION not set (optional)",
    "was set": "the variable was set: ACME_TOKEN (default)",
    "disabled": "ACME_SENTRY_DSN is not set: reports are disabled",
    "nothing missing": "Connected with ACME_TOKEN to the service",
    "words in capitals": "JSON is required and API is missing",
    "help is no setting": "error: unknown command, use --help; expected --version",
    "another KeyError": "KeyError: 'a-b'",
    "too long a name": f"KeyError: '{'A' * 65}'",
    "model of data": "1 validation error for Tool\ninput schema\n  Field required",
    "field with a value": "1 validation error for Settings\nport\n  Input should be greater than 0",
    "a mistake in code": "ReferenceError: fetchPage is not defined\nTypeError: aB is required",
    "no cluster asked for": "There is no active cluster yet",
    "passed along": "We pass the key on to the service with ACME_TOKEN; tests pass --fast",
    "one word in code": "callback is required",
    "a part of the program": "ENOENT: no such file or directory, open '/app/dist/config.json'",
    "a package's own file": "Please place key.json in /app/node_modules/acme",
    "data of the image": "ENOENT: no such file or directory, open '/srv/data/words.json'",
    "a file of the system": "open /proc/sys/config.json: no such file or directory",
    "no plain path": "open /srv/../root/config.json: no such file or directory",
    "icu, in prose": "Please install libicu for other languages",
    "zod that has it": '"path": [\n "API_KEY"\n],\n"message": "Too short"',
}


@pytest.mark.parametrize("case", SILENT)
def test_what_only_looks_like_it_is_not(case: str):
    assert [one.name for one in needs.in_text(SILENT[case])] == []


def test_a_warning_gives_way_to_an_error():
    told = needs.in_text("Warning: B_TOKEN is not set\nError: A_TOKEN is not set")
    assert [one.name for one in told] == ["A_TOKEN"]


def test_kinds_and_places_are_told():
    told = needs.in_text(
        PYDANTIC + "\n" + CLAP + "\nerror: --mode is required. Choose from: a1, b2"
    )
    kinds = {one.name: (one.where, one.kind) for one in told}
    assert kinds["API_KEY"] == (Where.ENVIRONMENT, SettingKind.SECRET)
    assert kinds["BASE_URL"] == (Where.ENVIRONMENT, SettingKind.URL)
    assert kinds["--api-key"] == (Where.FLAG, SettingKind.SECRET)
    assert kinds["PATH"] == (Where.POSITIONAL, SettingKind.FOLDER)
    assert kinds["--mode"] == (Where.FLAG, SettingKind.CHOICE)
    assert {one.name: one.choices for one in told}["--mode"] == ("a1", "b2")


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        (
            "Set ACME_OAUTH_CREDENTIALS to the path of your credentials file:",
            SettingKind.FILE,
            "",
        ),
        ('  export ACME_CREDENTIALS="/path/to/keys.json"', SettingKind.FILE, ""),
        ("Please set ACME_CREDENTIALS", SettingKind.SECRET, ""),
        ("Set ACME_TOKEN, or see the path of the file", SettingKind.SECRET, ""),
        ("Set ACME_ALLOW_WRITES=true to go on", SettingKind.BOOLEAN, "true"),
        ("ACME_INVARIANT must be set to 1", SettingKind.TEXT, ""),
        ("Set `ACME_INVARIANT` to 1", SettingKind.BOOLEAN, "1"),
        ("Set ACME_LIMIT to 100", SettingKind.NUMBER, ""),
    ],
)
def test_what_a_value_has_to_be_is_read_behind_the_name(text: str, kind: SettingKind, value: str):
    (told,) = needs.in_text(text)
    assert (told.kind, told.value) == (kind, value)


HOSTILE = {
    "places": "place " * 200_000,
    "paths": "open '" + "/a" * 500_000 + ".json' no such file",
    "files": "put a.json in " + "/a.json " * 100_000,
    "names in code": "aB, " * 200_000 + "are required",
    "one endless line": "ACME_TOKEN is not set " + "A_" * 500_000,
    "underscores": "missing " + "_" * 1_000_000,
    "capitals": "required: " + "A" * 1_000_000,
    "many lines": "X_Y is not set\n" * 200_000,
    "many names": "missing " + " ".join(f"NAME_{n}" for n in range(100_000)),
    "open brackets": '"path": [' * 100_000 + "received undefined",
    "headers": "Missing environment variables:\n" * 100_000,
    "validation": "2 validation errors for Settings\nfield_a\n  Field required\n" * 50_000,
    "escapes": "\x1b[" * 500_000,
    "nul and more": "\x00\x1b]0;t\x07ACME_TOKEN\x00 is not set" * 20_000,
    "dashes": "required --" + "-a" * 500_000,
    "argparse": "the following arguments are required: " + "a," * 500_000,
    "spaces": "provide" + " " * 1_000_000 + "as an argument",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_text_is_bounded(case: str):
    told = needs.in_text(HOSTILE[case])
    assert len(told) <= needs.MAX_NEEDED
    assert all(len(one.name) <= 64 for one in told)


def test_no_text_names_what_steers_a_loader():
    rng = random.Random(7)
    steering = ["PATH", "LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "NODE_OPTIONS", "HOME",
                "BASH_ENV", "JAVA_TOOL_OPTIONS", "HTTPS_PROXY", "GIT_SSH_COMMAND"]  # fmt: skip
    frames = ["KeyError: '{}'", "{} is not set", "environment variable {} is missing",
              "required key {} missing value", 'os.environ["{}"]', "export {}=1",
              "Missing environment variables:\n  {}", "missing value for field {}",
              "Could not resolve placeholder '{}'", "{{ {}: [ 'Required' ] }}"]  # fmt: skip
    for _ in range(300):
        text = rng.choice(frames).format(rng.choice(steering))
        told = needs.in_text(text)
        assert not [one for one in told if one.where is Where.ENVIRONMENT], text
