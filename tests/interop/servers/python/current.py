"""Two tools, a prompt and a resource on the current Python SDK; argument: stdio or http."""

import sys

from mcp.server import MCPServer

server = MCPServer("python-current", version="1.0.0")


@server.tool()
def echo(text: str) -> str:
    """Give a text back."""
    return text


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.prompt()
def greet(name: str) -> str:
    """Ask for a greeting."""
    return f"Greet {name}."


@server.resource("memo://hello")
def hello() -> str:
    """A constant text."""
    return "hello"


if sys.argv[1:] == ["http"]:
    server.run("streamable-http", host="127.0.0.1", port=8080)
else:
    server.run("stdio")
