"""What stands in the files that settings name: well-formed, of the likeliest kind, harmless.

By the file's or the setting's name alone. Addresses in them lead to nobody (RFC 2606).
"""

from __future__ import annotations

from dataclasses import dataclass

from mcp_sandbox.launch.kinds import words

_GOOGLE = (
    '{"type": "service_account", "project_id": "sample", "private_key_id": "1", "private_key": '
    '"-----BEGIN PRIVATE KEY-----\\n{}\\n-----END PRIVATE KEY-----\\n", '
    '"client_email": "service@sample.internal.example", "client_id": "1", '
    '"token_uri": "https://token.internal.example/token"}\n'
)
_CLIENT = (
    '{"installed": {"client_id": "1-sample.apps.internal.example", "project_id": "sample", '
    '"auth_uri": "https://auth.internal.example/auth", '
    '"token_uri": "https://token.internal.example/token", "client_secret": "{}", '
    '"redirect_uris": ["http://localhost"]}}\n'
)
"""An OAuth client, as Google's console hands it out."""
_SIGNED_IN = (
    '{"access_token": "{}", "refresh_token": "sample", "token_type": "Bearer", '
    '"expiry_date": 4102444800000}\n'
)
_KUBE = (
    "apiVersion: v1\nkind: Config\ncurrent-context: sample\n"
    "clusters:\n- name: sample\n  cluster:\n    server: https://cluster.internal.example:6443\n"
    "contexts:\n- name: sample\n  context:\n    cluster: sample\n    user: sample\n"
    "users:\n- name: sample\n  user:\n    token: {}\n"
)
_OPENAPI = (
    '{"openapi": "3.0.3", "info": {"title": "Sample", "version": "1.0.0"}, '
    '"servers": [{"url": "https://api.internal.example"}], "paths": {"/items": {"get": '
    '{"operationId": "listItems", "responses": {"200": {"description": "OK"}}}}}}\n'
)


@dataclass(frozen=True)
class Content:
    """One file."""

    name: str
    text: str
    """With ``{}`` where the secret stands."""
    secret: bool = False


_ACCOUNT = Content("credentials.json", _GOOGLE, secret=True)
_OAUTH = Content("client.json", _CLIENT, secret=True)
_PLAIN = (
    Content("settings.json", "{}\n"),
    Content("settings.yaml", "{}\n"),
    Content("settings.txt", "sample\n"),
)


def possible(name: str) -> tuple[Content, ...]:
    """What the file of this name, or of the setting of this name, may hold; the likeliest first."""
    said = frozenset(words(name))
    if name.upper().endswith("APPLICATION_CREDENTIALS") or said >= {"service", "account"}:
        return (_ACCOUNT,)
    if "kubeconfig" in said or said >= {"kube", "config"}:
        return (Content("kubeconfig.yaml", _KUBE, secret=True),)
    if said & {"openapi", "spec", "swagger"}:
        return (Content("openapi.json", _OPENAPI),)
    if said & {"oauth", "client"} and not said & {"config", "settings"}:
        return (_OAUTH, _ACCOUNT, *_PLAIN)
    if said & {"token", "tokens"}:
        return (Content("token.json", _SIGNED_IN, secret=True), *_PLAIN)
    return (_ACCOUNT, _OAUTH, *_PLAIN) if said & {"credential", "credentials"} else _PLAIN


def likely(name: str) -> Content:
    """What a file holds that the server itself has named."""
    if name.endswith((".json", ".yaml", ".yml")):
        return possible(name)[0]
    return Content(name, "sample\n" if name.endswith(".txt") else "\n")
