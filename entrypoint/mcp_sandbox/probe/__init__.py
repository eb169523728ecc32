"""One MCP conversation over two byte streams; knows nothing of containers.

``session.run`` is the way in. The reader, the bounds and the order of the plan are ours because the
peer decides what we read; protocol versions come from the ``mcp`` package.
"""
