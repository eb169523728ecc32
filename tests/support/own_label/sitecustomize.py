"""Gives one run of the command a label of its own: imported by Python before anything else.

Tests see, count and ``clean`` their own things only, on an engine that others use at the same time.
With ``MCP_SANDBOX_TEST_SWEEP_AGE`` a run sweeps what is not that old yet (seconds, may be
negative), with ``MCP_SANDBOX_TEST_TODAY`` it takes another day for today's.
"""

import os

import mcp_sandbox.model

if label := os.environ.get("MCP_SANDBOX_TEST_LABEL"):
    mcp_sandbox.model.RUN_LABEL = label

if age := os.environ.get("MCP_SANDBOX_TEST_SWEEP_AGE"):
    import mcp_sandbox.pipeline

    mcp_sandbox.pipeline.learning.SWEEP_AGE = int(age)

if day := os.environ.get("MCP_SANDBOX_TEST_TODAY"):
    from datetime import date

    import mcp_sandbox.pipeline.comparing

    mcp_sandbox.pipeline.comparing.today = lambda: date.fromisoformat(day)
