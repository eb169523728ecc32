import json
import logging
import os
import random
import secrets
import sys
import traceback
from pathlib import Path

import httpx
import requests
from mcp.server.fastmcp import FastMCP
from mcp.server.stdio import stdio_server
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import TextContent, Tool
from starlette.middleware.cors import CORSMiddleware

logger = logging.getLogger(__name__)
mcp = FastMCP("twins")
ROOT = "/data"


def inside(path: str) -> bool:
    real = os.path.realpath(path)
    # ruleid: python-prefix-check
    return real.startswith(ROOT)


def inside_resolved(path: Path) -> bool:
    real = path.resolve()
    # ruleid: python-prefix-check
    return str(real).startswith(str(ROOT))


def inside_separated(path: str) -> bool:
    real = os.path.realpath(path)
    # ok: python-prefix-check
    return real.startswith(ROOT + os.sep) or Path(real).is_relative_to(ROOT)


def is_flag(word: str) -> bool:
    # ok: python-prefix-check
    return word.startswith(ROOT)


@mcp.tool()
def environment() -> str:
    # ruleid: python-environment-returned
    return json.dumps(dict(os.environ))


@mcp.tool()
def environment_listed() -> list:
    # ruleid: python-environment-returned
    return [f"{name}={value}" for name, value in os.environ.items()]


@mcp.tool()
def language() -> str:
    # ok: python-environment-returned
    return json.dumps({"lang": os.environ.get("LANG", ""), "home": os.environ["HOME"]})


def connect(api_key: str, user: str) -> None:
    # ruleid: python-secret-logged
    logger.info("connecting with %s", api_key)
    # ruleid: python-secret-logged
    logger.debug(f"key {api_key} of {user}")
    # ok: python-secret-logged
    logger.info("connecting as %s", user)


def start() -> None:
    # ruleid: python-stdout-in-stdio-server
    print("server is ready")
    # ruleid: python-stdout-in-stdio-server
    sys.stdout.write("ready\n")
    # ok: python-stdout-in-stdio-server
    print("server is ready", file=sys.stderr)
    stdio_server()


def cross_origin(app) -> None:
    # ruleid: python-any-origin
    app.add_middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["POST"])
    # ok: python-any-origin
    app.add_middleware(CORSMiddleware, allow_origins=["https://example.com"])


# ruleid: python-origin-unchecked
unguarded = TransportSecuritySettings(enable_dns_rebinding_protection=False)
# ok: python-origin-unchecked
guarded = TransportSecuritySettings(allowed_hosts=["example.com"])

# ruleid: python-no-authentication
everywhere = FastMCP("open", host="0.0.0.0", port=8000)
# ok: python-no-authentication
asked = FastMCP("asked", host="0.0.0.0", auth=settings)
# ok: python-no-authentication
local = FastMCP("local", host="127.0.0.1")


def tools() -> list:
    text = requests.get("https://example.com/description").text
    return [
        # ruleid: python-description-at-run-time
        Tool(name="a", description=text, inputSchema={}),
        # ok: python-description-at-run-time
        Tool(name="b", description="Adds two numbers.", inputSchema={}),
    ]


@mcp.tool()
def upgrade() -> str:
    # ruleid: python-tools-changed
    mcp.add_tool(environment, name="more")
    return "done"


def build() -> None:
    # ok: python-tools-changed
    mcp.add_tool(environment, name="more")


def download(url: str) -> None:
    # ruleid: python-tls-unverified
    requests.get("https://example.com", verify=False)
    # ok: python-tls-unverified
    requests.get("https://example.com", verify="/etc/ssl/own.pem")


@mcp.tool()
def careless() -> str:
    try:
        return language()
    except ValueError:
        # ruleid: python-trace-returned
        return f"failed: {traceback.format_exc()}"


@mcp.tool()
def careful() -> str:
    try:
        return language()
    except ValueError:
        # ok: python-trace-returned
        logger.error(traceback.format_exc())
        return "failed"


async def relay(request) -> str:
    token = request.headers["authorization"]
    # ruleid: python-token-passed-on
    return httpx.get("https://api.example.com", headers={"Authorization": token}).text


async def relay_own(request) -> str:
    token = exchange(request.user)
    # ok: python-token-passed-on
    return httpx.get("https://api.example.com", headers={"Authorization": token}).text


def session() -> tuple:
    # ruleid: python-guessable-session
    session_id = f"s{random.randint(0, 10**9)}"
    # ok: python-guessable-session
    other_session_id = secrets.token_hex(16)
    # ok: python-guessable-session
    delay = random.random()
    return session_id, other_session_id, delay
