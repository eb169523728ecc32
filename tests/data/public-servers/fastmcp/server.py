"""A small server on FastMCP, as its tutorial has it."""

from fastmcp import FastMCP

mcp = FastMCP("calculator")


@mcp.tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@mcp.tool
def shout(text: str) -> str:
    """Return the text in capital letters."""
    return text.upper()


if __name__ == "__main__":
    mcp.run()
