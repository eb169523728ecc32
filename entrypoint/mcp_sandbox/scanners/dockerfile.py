"""What no tool says of the Dockerfile of an MCP server."""

from __future__ import annotations

from mcp_sandbox.scanners.instructions import DockerfileError, parse


def final_from_line(source: bytes) -> int:
    """The line of the final stage's ``FROM``, from 1; 0 when the Dockerfile does not parse."""
    try:
        instructions = parse(source)
    except DockerfileError:
        return 0
    return max(one.line for one in instructions if one.keyword == "FROM" and not one.trigger)
