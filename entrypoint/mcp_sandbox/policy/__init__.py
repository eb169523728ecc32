"""What is accepted, what may be done, and what a run must hold to: the policy file and the gate."""

from mcp_sandbox.policy.apply import Applied, apply
from mcp_sandbox.policy.complaints import INFOS
from mcp_sandbox.policy.file import MAX_BYTES, load
from mcp_sandbox.policy.gate import gate

__all__ = ["INFOS", "MAX_BYTES", "Applied", "apply", "gate", "load"]
