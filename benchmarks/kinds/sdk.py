"""The same server on the Python SDK, as most people write it."""

from pathlib import Path

from mcp.server.mcpserver import MCPServer

server = MCPServer("sdk")


@server.tool()
def read(text: str) -> str:
    """Reads its notes."""
    return text + Path("/etc/hostname").read_text(encoding="ascii")


server.run()
