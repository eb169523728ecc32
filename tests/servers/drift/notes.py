"""The first version: four tools, a prompt and a resource, and what they do on their machine.

One tool asks a host, one runs a program, one reads a file, one does nothing of the kind, so that a
version can lose or gain any of it. What is done on the machine is done only in a sandbox (see
``acting``).
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from acting import http, in_sandbox, quietly
from honest import INVALID_PARAMS, Message, RpcError, Server, text

STORE = Path("/srv/store/notes.txt")
"""Comes with the image."""

Work = Callable[[dict[str, Any]], str]

TEXT = {"type": "string", "description": "The text.", "maxLength": 2000}
READS = {"readOnlyHint": True}


def tool(name: str, description: str, *, hints: Message | None = None, **about: Message) -> Message:
    """A definition whose parameters are all required."""
    schema = {
        "type": "object",
        "properties": about,
        "required": list(about),
        "additionalProperties": False,
    }
    given = {} if hints is None else {"annotations": dict(hints)}
    return {"name": name, "description": description, "inputSchema": schema, **given}


def search_notes(given: dict[str, Any]) -> str:
    """How many notes hold the text."""
    lines = (quietly(STORE.read_text) or "").splitlines() if in_sandbox() else []
    return f"{sum(given['text'] in line for line in lines)} of {len(lines)} notes."


def sort_lines(given: dict[str, Any]) -> str:
    """Runs the same program on every call; the text is no argument of it."""
    if not in_sandbox():
        return "Nothing is sorted here."
    argv = ["/usr/bin/sort", "--reverse"]
    done = subprocess.run(argv, input=given["text"].encode(), capture_output=True, check=False)
    return f"{len(done.stdout.splitlines())} lines sorted."


def forecast(given: dict[str, Any]) -> str:
    """Asks the one host that its description names."""
    if not in_sandbox():
        return "There is no weather here."
    return f"{given['unit']}: {http('api.weather.example', '/v1/tomorrow')}"


def count_words(given: dict[str, Any]) -> str:
    """Needs nothing of its machine."""
    return str(len(given["text"].split()))


class Notes(Server):
    """The first version. A later one changes the lists, or adds to what is done."""

    def __init__(self) -> None:
        super().__init__("notes")
        self.capabilities = {"tools": {}, "prompts": {}, "resources": {}}
        self.instructions = "Plain text only. Notes are kept in one file, one note on each line."
        unit = {"type": "string", "description": "Unit of the temperature."}
        self.tools = [
            tool("search_notes", "Says how many notes hold a text.", hints=READS, text=dict(TEXT)),
            tool("sort_lines", "Sorts the lines of a text, the last one first.", text=dict(TEXT)),
            tool(
                "forecast",
                "Tells tomorrow's weather; asks http://api.weather.example/ for it.",
                hints={"openWorldHint": True},
                unit=unit | {"enum": ["celsius", "fahrenheit"]},
            ),
            tool("count_words", "Counts the words of a text.", text=dict(TEXT)),
        ]
        self.prompts: list[Message] = [
            {
                "name": "tidy",
                "description": "Asks for a tidier version of a note.",
                "arguments": [{"name": "note", "description": "The note.", "required": True}],
            }
        ]
        self.resources: list[Message] = [
            {
                "uri": "note://welcome",
                "name": "welcome",
                "description": "The first note of all.",
                "mimeType": "text/plain",
            }
        ]
        self.work: dict[str, Work] = {
            "search_notes": search_notes,
            "sort_lines": sort_lines,
            "forecast": forecast,
            "count_words": count_words,
        }
        self.starts: list[Callable[[], object]] = []
        """Done before anything is read."""
        self.besides: list[Callable[[], object]] = []
        """Done in every call of ``count_words``."""
        self.counted = 0
        """Calls of ``count_words`` so far, the one being answered included."""
        self.handlers |= {
            "prompts/list": lambda params: self.page("prompts", self.prompts, params),
            "prompts/get": self.get_prompt,
            "resources/list": lambda params: self.page("resources", self.resources, params),
            "resources/templates/list": lambda params: self.page("resourceTemplates", [], params),
            "resources/read": self.read_resource,
        }

    def listed(self, name: str) -> Message:
        """The definition of a tool."""
        found: Message = next(one for one in self.tools if one["name"] == name)
        return found

    def parameters(self, name: str) -> Message:
        """The properties of a tool's schema."""
        found: Message = self.listed(name)["inputSchema"]["properties"]
        return found

    def at_start(self) -> None:
        """Do what the version does before it reads."""
        for one in self.starts if in_sandbox() else ():
            quietly(one)

    def call_tool(self, params: Message) -> Message:
        """Check the arguments, then let the tool work."""
        name, given = params.get("name"), params.get("arguments") or {}
        if not isinstance(name, str) or name not in self.work:
            raise RpcError(INVALID_PARAMS, "Unknown tool")
        schema = self.listed(name)["inputSchema"]
        known, needed = schema["properties"].keys(), set(schema["required"])
        if not isinstance(given, dict) or not needed <= given.keys() <= known:
            return text("The arguments are not those of the schema.", error=True)
        if not all(fits(value, schema["properties"][key]) for key, value in given.items()):
            return text("An argument is not what the schema asks for.", error=True)
        if name == "count_words":
            self.counted += 1
            for one in self.besides if in_sandbox() else ():
                quietly(one)
        return text(self.work[name](given))

    def get_prompt(self, params: Message) -> Message:
        """The one prompt."""
        if params.get("name") != "tidy":
            raise RpcError(INVALID_PARAMS, "Unknown prompt")
        content = {"type": "text", "text": "Make this note tidier."}
        return {"messages": [{"role": "user", "content": content}]}

    def read_resource(self, params: Message) -> Message:
        """One of the listed notes."""
        uri = params.get("uri")
        if uri not in {one["uri"] for one in self.resources}:
            raise RpcError(INVALID_PARAMS, "Unknown resource")
        return {"contents": [{"uri": uri, "mimeType": "text/plain", "text": "Welcome."}]}


def fits(value: object, schema: Message) -> bool:
    """Whether a value is of the schema's type and among its values."""
    kinds = {"string": str, "boolean": bool, "integer": int}
    if type(value) is not kinds[schema["type"]]:
        return False
    short = not isinstance(value, str) or len(value) <= schema.get("maxLength", 100_000)
    return short and value in schema.get("enum", [value])
