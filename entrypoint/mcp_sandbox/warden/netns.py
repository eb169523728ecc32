"""The network namespace: every address is local, and whatever is sent to one comes to the sink.

The namespace has no interface but ``lo``, so nothing can leave it; the routes made here only give
what would have left somewhere to go. Packets are handed to one port by nftables' ``tproxy``, which
keeps their addresses. Where the kernel lacks that, ``redirect`` does it for TCP and for DNS.
"""

from __future__ import annotations

import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

from mcp_sandbox.endpoints import OWN

OWN_V4, OWN_V6 = OWN
"""The namespace's own addresses. With none, a socket would take its peer's as its own."""

REPLY_MARK = 0x6D6370
"""On our answers to DNS questions: they are sent from the sink's port, and leave as port 53."""

_PROC_V6 = Path("/proc/sys/net/ipv6/conf/lo/disable_ipv6")
_SECONDS = 20

EXEMPT = f"""
    ip daddr {{ 127.0.0.0/8, {OWN_V4} }} accept
    ip6 daddr {{ ::1, {OWN_V6} }} accept"""


class NotPrepared(Exception):
    """The namespace could not be set up."""


@dataclass(frozen=True)
class Prepared:
    """What the kernel could do."""

    tproxy: bool
    """False: TCP and DNS only, and of a question it is not known whom it was for."""
    why: str = ""


def has_ipv6() -> bool:
    """Whether ``lo`` may have IPv6 addresses here."""
    return _PROC_V6.exists() and _PROC_V6.read_text().strip() == "0"


def with_tproxy(port: int, *, ipv6: bool) -> str:
    """The rules that bring everything to ``port`` of ``127.0.0.1`` and ``::1``."""
    six = f"meta nfproto ipv6 meta l4proto {{ tcp, udp }} tproxy ip6 to [::1]:{port} accept"
    return f"""
table inet mcp_sandbox {{
  chain answers {{
    type filter hook output priority 0; policy accept;
    meta mark {REPLY_MARK} meta l4proto udp udp sport set 53
  }}
  chain sink {{
    type filter hook prerouting priority mangle; policy accept;
    meta mark {REPLY_MARK} accept{EXEMPT}
    meta nfproto ipv4 meta l4proto {{ tcp, udp }} tproxy ip to 127.0.0.1:{port} accept
    {six if ipv6 else ""}
  }}
}}
"""


def with_redirect(port: int) -> str:
    """The rules for a kernel without ``tproxy``."""
    return f"""
table inet mcp_sandbox {{
  chain sink {{
    type nat hook output priority dstnat; policy accept;{EXEMPT}
    meta l4proto tcp redirect to :{port}
    udp dport 53 redirect to :{port}
  }}
}}
"""


def prepare(port: int, *, ipv6: bool, tproxy: bool = True) -> Prepared:
    """Set addresses, routes and rules. Raises ``NotPrepared``."""
    _run("ip", "link", "set", "lo", "up")
    _run("ip", "addr", "replace", f"{OWN_V4}/16", "dev", "lo")
    _run("ip", "route", "replace", "local", "default", "dev", "lo", "src", OWN_V4)
    if ipv6:
        _run("ip", "-6", "addr", "replace", f"{OWN_V6}/64", "dev", "lo", "nodad")
        _run("ip", "-6", "route", "replace", "local", "default", "dev", "lo", "src", OWN_V6)
    why = "not asked for"
    if tproxy:
        try:
            _run("nft", "-f", "-", text=with_tproxy(port, ipv6=ipv6))
        except NotPrepared as error:
            why = str(error)
        else:
            return Prepared(tproxy=True)
    _run("nft", "-f", "-", text=with_redirect(port))
    return Prepared(tproxy=False, why=why)


def add(rules: str) -> bool:
    """Whether the kernel takes more rules."""
    try:
        _run("nft", "-f", "-", text=rules)
    except NotPrepared:
        return False
    return True


def _run(*command: str, text: str = "") -> None:
    try:
        done = subprocess.run(  # noqa: S603 - constant programs, no shell
            command, input=text.encode(), capture_output=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotPrepared(f"{' '.join(command)}: {error}") from error
    if done.returncode:
        said = done.stderr[:500].decode("utf-8", "replace").strip()
        raise NotPrepared(f"{' '.join(command)} ended with {done.returncode}: {said}")


def original_destination(sock: socket.socket) -> tuple[str, int]:
    """Where a connection that was redirected had been going to. Raises ``OSError``."""
    so_original_dst = (
        80  # linux/netfilter_ipv4.h, and the same in linux/netfilter_ipv6/ip6_tables.h
    )
    if sock.family == socket.AF_INET6:
        data = sock.getsockopt(socket.IPPROTO_IPV6, so_original_dst, 28)
        return socket.inet_ntop(socket.AF_INET6, data[8:24]), int.from_bytes(data[2:4], "big")
    data = sock.getsockopt(socket.IPPROTO_IP, so_original_dst, 16)
    return socket.inet_ntop(socket.AF_INET, data[4:8]), int.from_bytes(data[2:4], "big")
