"""Tell what an MCP server does, what changed, and whether it may ship."""

__version__ = "0.1.0"
