"""A small stdio MCP server for measuring: one tool that reads a file and answers."""

import json
import sys
from pathlib import Path

OPENED = {
    "protocolVersion": "2025-11-25",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "python", "version": "1"},
}
SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
LISTED = {"tools": [{"name": "read", "description": "Reads its notes.", "inputSchema": SCHEMA}]}

for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    if message["method"] == "initialize":
        result = OPENED
    elif message["method"] == "tools/list":
        result = LISTED
    else:
        Path("/etc/hostname").read_text(encoding="ascii")
        result = {"content": [{"type": "text", "text": "done"}]}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
