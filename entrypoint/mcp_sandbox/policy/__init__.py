"""What is accepted, what may be done, and what a run must hold to: the policy file and the gate."""

from mcp_sandbox.policy.gate import gate

__all__ = ["gate"]
