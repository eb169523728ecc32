"""The files of a home folder that thieves ask for first, each with a secret of its own.

An ordinary program must not notice them: hosts, profiles and servers have names that no client
picks by default, and a path whose content some library loads unasked is left out (application
default credentials, ``~/.vault-token``, ``~/.my.cnf``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from mcp_sandbox.planted.shapes import BASE32, Mint, anthropic, aws, github, pem, plain, pypi

_BROKER = "https://broker.internal.example/mcp"
_AGENT = json.dumps(
    {
        "mcpServers": {
            "backup-broker": {
                "type": "http",
                "url": _BROKER,
                "headers": {"Authorization": "Bearer SECRET"},
            }
        }
    },
    indent=2,
)
_AGENTS = (
    ".mcp.json",
    ".claude.json",
    ".claude/settings.local.json",
    ".config/Claude/claude_desktop_config.json",
    ".cursor/mcp.json",
    ".codeium/windsurf/mcp_config.json",
    ".gemini/settings.json",
    ".aws/amazonq/mcp.json",
    ".config/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json",
)
"""Clients that keep their servers in an object ``mcpServers``."""

_DOCUMENTED: tuple[tuple[str, str], ...] = (
    (
        ".config/Code/User/mcp.json",
        json.dumps(
            {
                "servers": {
                    "backup-broker": {
                        "type": "http",
                        "url": _BROKER,
                        "headers": {"Authorization": "Bearer SECRET"},
                    }
                }
            },
            indent=2,
        ),
    ),
    (
        ".codex/config.toml",
        f'[mcp_servers.backup-broker]\nurl = "{_BROKER}"\n'
        'http_headers = { Authorization = "Bearer SECRET" }',
    ),
    (
        ".continue/config.yaml",
        "name: backup\nversion: 1.0.0\nschema: v1\nmcpServers:\n  - name: backup-broker\n"
        f"    type: streamable-http\n    url: {_BROKER}\n    apiKey: SECRET",
    ),
    (
        ".docker/config.json",
        json.dumps({"auths": {"images.internal.example": {"registrytoken": "SECRET"}}}, indent=2),
    ),
    (
        ".kube/config",
        "apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\nusers:\n"
        "- name: backup\n  user:\n    token: SECRET",
    ),
    (
        # Where gcloud keeps what it has logged in with; libraries read another file by default.
        ".config/gcloud/legacy_credentials/backup@internal.example/adc.json",
        json.dumps(
            {
                "type": "authorized_user",
                "client_id": "backup.apps.internal.example",
                "client_secret": "unused",
                "refresh_token": "1//SECRET",
            },
            indent=2,
        ),
    ),
    (".netrc", "machine backup.internal.example\n  login backup\n  password SECRET"),
    (".pgpass", "backup.internal.example:5432:backup:backup:SECRET"),
    (".env", "BACKUP_SERVICE_PASSWORD=SECRET"),
    (".git-credentials", "https://backup:SECRET@git.internal.example"),
    (".npmrc", "//packages.internal.example/:_authToken=SECRET"),
    (".cargo/credentials.toml", '[registries.backup]\ntoken = "SECRET"'),
    (".config/backup/token", "SECRET"),
    (".bash_history", "cd backup\nexport BACKUP_TOKEN=SECRET\n./backup.sh --all"),
)


def home_files(mint: Mint, home: str) -> Iterator[tuple[str, bytes]]:
    """Absolute path and content of each; ``home`` without a trailing slash."""

    def file(name: str, text: str, shape: Callable[[Mint, str], str] = plain) -> tuple[str, bytes]:
        path = f"{home}/{name}"
        return path, f"{text}\n".replace("SECRET", mint.secret(f"file:{path}", shape)).encode()

    profile = f"[backup]\naws_access_key_id = AKIA{mint.random(BASE32, 16)}\n"
    yield file(".ssh/id_rsa", "SECRET", pem)
    yield file(".aws/credentials", f"{profile}aws_secret_access_key = SECRET", aws)
    yield file(".config/gh/hosts.yml", "git.internal.example:\n  oauth_token: SECRET", github)
    index = "[distutils]\nindex-servers =\n    backup\n\n[backup]\n"
    where = "repository = https://packages.internal.example/\nusername = __token__\n"
    yield file(".pypirc", f"{index}{where}password = SECRET", pypi)
    yield file(".config/backup/model-api-key", "SECRET", anthropic)
    for name in _AGENTS:
        yield file(name, _AGENT)
    for name, text in _DOCUMENTED:
        yield file(name, text)
