"""An MCP server whose errors say what is wrong and repeat nothing of what was sent.

The SDK quotes unknown names and rejected values in its errors. A model reads those, and to a
model a quotation of an attacker's text is as good as the text itself.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    CallToolResult,
    GetPromptResult,
    InputRequiredResult,
    ToolAnnotations,
)
from pydantic import ValidationError, create_model
from starlette.requests import Request
from starlette.responses import PlainTextResponse

_log = logging.getLogger(__name__)


class QuietServer(MCPServer[Any]):
    """A server with tools and resources, no prompts, and a `/health` route for HTTP."""

    def __init__(
        self,
        name: str,
        *,
        instructions: str,
        tools: list[Tool],
        is_healthy: Callable[[], bool] = lambda: True,
    ) -> None:
        super().__init__(
            name,
            version="1.0.0",
            instructions=instructions,
            tools=tools,
            middleware=[_hide_method],
            # At INFO the SDK logs names and addresses that the caller chose.
            log_level="WARNING",
        )

        async def health(_: Request) -> PlainTextResponse:
            if is_healthy():
                return PlainTextResponse("healthy")
            return PlainTextResponse("unhealthy", status_code=503)

        self.custom_route("/health", methods=["GET"])(health)

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool; every failure keeps its meaning and loses its quotations."""
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            cause = error.__cause__
        if cause is None:
            raise MCPError(code=INVALID_PARAMS, message="Unknown tool.")
        if isinstance(cause, ValidationError):
            raise ToolError(_misfit(cause))
        if isinstance(cause, ToolError):
            raise ToolError(str(cause))  # the tool's own words
        _log.error("A tool failed.", exc_info=cause)
        raise ToolError("The tool failed.")

    async def read_resource(self, uri: Any, context: Context[Any, Any] | None = None) -> Any:
        """Read a resource; the URI of one that does not exist is not repeated."""
        if str(uri) not in {str(resource.uri) for resource in await self.list_resources()}:
            raise MCPError(code=INVALID_PARAMS, message="Unknown resource.")
        return await super().read_resource(uri, context)

    async def get_prompt(
        self,
        name: str,  # noqa: ARG002 - the signature is the SDK's
        arguments: dict[str, Any] | None = None,  # noqa: ARG002
        context: Context[Any, Any] | None = None,  # noqa: ARG002
    ) -> GetPromptResult | InputRequiredResult:
        """There are no prompts."""
        raise MCPError(code=INVALID_PARAMS, message="Unknown prompt.")


def strict_tool(
    function: Callable[..., Any],
    title: str,
    annotations: ToolAnnotations | None = None,
    *,
    structured: bool = False,
) -> Tool:
    """Make a tool that refuses arguments it does not know, and says so in its schema.

    Its description is the function's docstring. A `structured` one publishes the schema of its
    result; a tool that returns plain text has no need of a second copy of it.
    """
    tool = Tool.from_function(
        function, title=title, annotations=annotations, structured_output=structured
    )
    loose = tool.fn_metadata.arg_model
    strict = create_model(loose.__name__, __base__=loose, __cls_kwargs__={"extra": "forbid"})
    tool.fn_metadata.arg_model = strict
    tool.parameters = strict.model_json_schema(by_alias=True)
    return tool


async def _hide_method(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Answer an unknown method without its name, which the SDK would send back."""
    try:
        return await call_next(ctx)
    except MCPError as error:
        if error.code == METHOD_NOT_FOUND:
            raise MCPError(code=METHOD_NOT_FOUND, message="Method not found") from None
        raise


def _misfit(error: ValidationError) -> str:
    """Name the parameters that are wrong, and of those only our own: the rest are quotations."""
    ours = {
        str(problem["loc"][0])
        for problem in error.errors()
        if problem["loc"] and problem["type"] != "extra_forbidden"
    }
    message = "The arguments do not fit the input schema of this tool"
    return f"{message}: {', '.join(sorted(ours))}." if ours else f"{message}."
