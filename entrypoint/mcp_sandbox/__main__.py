"""``python -m mcp_sandbox``: the same as the console script."""

from mcp_sandbox.cli import main

main()
