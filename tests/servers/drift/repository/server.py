"""A reading list over standard input and output: the repository whose life docs/baseline.md tells.

Standard library only. The tests commit it, and change lines of it.
"""

import json
import sys

BOOKS = ("The Sea", "The Dispossessed", "A Sand County Almanac", "The Sea Around Us")
TOOLS = []
WORK = {}


def tool(description, **parameters):
    """Offer a function as a tool; each parameter is a text with this description."""

    def register(function):
        texts = {key: {"type": "string", "description": say} for key, say in parameters.items()}
        schema = {"type": "object", "properties": texts, "required": list(parameters)}
        name = function.__name__
        TOOLS.append({"name": name, "description": description, "inputSchema": schema})
        WORK[name] = function
        return function

    return register


@tool("Finds the books whose title holds a word.", word="A word of the title.")
def find_books(word):
    return "\n".join(title for title in BOOKS if word in title) or "There is none."


@tool("Says how many books are on the list.")
def count_books():
    return str(len(BOOKS))


@tool("Says which book was added last.")
def newest_book():
    return BOOKS[-1]


def answer(method, params):
    """The result of a request; ``None`` for a method that there is not."""
    if method == "initialize":
        info = {"name": "reading-list", "version": "1.0.0"}
        version = params.get("protocolVersion", "2025-11-25")
        return {"protocolVersion": version, "serverInfo": info, "capabilities": {"tools": {}}}
    if method == "tools/list":
        return {"tools": TOOLS}
    if method == "ping":
        return {}
    if method != "tools/call":
        return None
    given = params.get("arguments") or {}
    try:
        said, wrong = WORK[params["name"]](**given), False
    except (KeyError, TypeError):
        said, wrong = "That is no tool of mine, or not what it takes.", True
    return {"content": [{"type": "text", "text": said}], "isError": wrong}


def main():
    """Speak until standard input ends."""
    for line in sys.stdin:
        request = json.loads(line)
        if "id" not in request or "method" not in request:
            continue
        result = answer(request["method"], request.get("params") or {})
        body = {"error": {"code": -32601, "message": "Method not found"}}
        body = body if result is None else {"result": result}
        print(json.dumps({"jsonrpc": "2.0", "id": request["id"], **body}), flush=True)


if __name__ == "__main__":
    main()
