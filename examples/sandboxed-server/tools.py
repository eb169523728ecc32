"""The tools and the resource that the sandboxed server offers over MCP."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from mcp.server.mcpserver.exceptions import ResourceError, ToolError
from mcp.server.mcpserver.tools import Tool
from mcp_types import ToolAnnotations
from pydantic import BaseModel, Field
from quiet import QuietServer, strict_tool
from store import MAX_CONTENT_CHARS, MAX_NAME_CHARS, NAME_PATTERN, Store, StoreError

FileName = Annotated[
    str,
    Field(
        description="Name of the file, without a folder. Letters, digits, dot, dash, underscore.",
        min_length=1,
        max_length=MAX_NAME_CHARS,
        pattern=NAME_PATTERN,
        examples=["notes.txt"],
    ),
]
FileContent = Annotated[
    str, Field(description="The whole text of the file.", max_length=MAX_CONTENT_CHARS)
]

_READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_WRITES = ToolAnnotations(
    read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False
)


class FileInfo(BaseModel):
    """One file of the listing."""

    name: str = Field(description="Name of the file.")
    size: int = Field(description="Size in bytes.")
    modified: str = Field(description="Time of the last change, UTC, ISO 8601.")


class FileList(BaseModel):
    """The listing."""

    files: list[FileInfo] = Field(description="The files, sorted by name.")


def build_server(store: Store) -> QuietServer:
    """Return the server that offers `store` to a model."""
    server = QuietServer(
        "sandboxed-files",
        instructions="Keeps small text files in one folder.",
        tools=_file_tools(store),
        is_healthy=lambda: _is_usable(store),
    )

    @server.resource("health://status", mime_type="text/plain")
    def health_status() -> str:
        """Whether the server can do its work."""
        if not _is_usable(store):
            raise ResourceError("Server is not healthy")
        return "Server is healthy"

    return server


def _file_tools(store: Store) -> list[Tool]:
    def safe_write_file(filename: FileName, content: FileContent) -> str:
        """Write a text file, replacing an earlier file of the same name."""
        try:
            store.write(filename, content)
        except StoreError as error:
            raise ToolError(str(error)) from None
        return f"Wrote {len(content)} characters."

    def safe_read_file(filename: FileName) -> str:
        """Return the text of a file that was written earlier."""
        try:
            return store.read(filename)
        except StoreError as error:
            raise ToolError(str(error)) from None

    def list_files() -> FileList:
        """List the files with their sizes and times of last change."""
        try:
            files = store.files()
        except StoreError as error:
            raise ToolError(str(error)) from None
        return FileList(
            files=[
                FileInfo(name=file.name, size=file.size, modified=_utc(file.modified))
                for file in files
            ]
        )

    return [
        strict_tool(safe_write_file, "Write a file", _WRITES),
        strict_tool(safe_read_file, "Read a file", _READS),
        strict_tool(list_files, "List the files", _READS, structured=True),
    ]


def _is_usable(store: Store) -> bool:
    try:
        store.check()
    except StoreError:
        return False
    return True


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
