"""A trivial stdio MCP server for measuring: ``many_tools.py TOOLS BYTES`` lists that many tools.

Each description has BYTES characters, a page holds 500 tools, every call is answered at once.
Standard library only, so that its own cost per call is as small as Python allows.
"""

import json
import sys

PAGE = 500
count, size = int(sys.argv[1]), int(sys.argv[2])
schema = '{"type":"object","properties":{"text":{"type":"string"}},"required":["text"]}'
text = "Repeats the text. " + "x" * max(0, size - 18)
OPENED = (
    '{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},'
    '"serverInfo":{"name":"many","version":"1"}}'
)


def page(start: int) -> str:
    """One page of the list as JSON."""
    tools = ",".join(
        f'{{"name":"tool_{n}","description":"{text}","inputSchema":{schema}}}'
        for n in range(start, min(start + PAGE, count))
    )
    following = f',"nextCursor":"{start + PAGE}"' if start + PAGE < count else ""
    return f'{{"tools":[{tools}]{following}}}'


for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    method = message["method"]
    if method == "initialize":
        result = OPENED
    elif method == "tools/list":
        result = page(int(message["params"].get("cursor", 0)))
    elif method == "tools/call":
        result = '{"content":[{"type":"text","text":"done"}]}'
    else:
        error = f'"error":{{"code":-32601,"message":"no"}},"id":{message["id"]}'
        print(f'{{"jsonrpc":"2.0",{error}}}', flush=True)
        continue
    print(f'{{"jsonrpc":"2.0","id":{message["id"]},"result":{result}}}', flush=True)
