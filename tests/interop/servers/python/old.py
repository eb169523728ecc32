"""Two tools, a prompt and a resource on an old Python SDK; argument: stdio or http."""

import sys

from mcp.server.fastmcp import FastMCP

server = FastMCP("python-old", host="127.0.0.1", port=8080)


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


server.run("streamable-http" if sys.argv[1:] == ["http"] else "stdio")
