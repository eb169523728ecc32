"""Questions on hosts: whose they are, what they are for the machine, and who named them.

A domain is what is left of a name without the labels that its owner gives out himself. Without the
public suffix list this is a rule of thumb: two labels, three below a country's ``co``, ``com`` and
their like, three below a provider that gives names to anybody.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from mcp_sandbox import hostnames
from mcp_sandbox.model import Call
from mcp_sandbox.rules.context import Context
from mcp_sandbox.rules.replies import sent
from mcp_sandbox.rules.surfaces import Kind

_SECOND = frozenset({"co", "com", "org", "net", "gov", "edu", "ac"})
_COUNTRY = 2
_SHARED = frozenset(
    [
        "github.io",
        "gitlab.io",
        "vercel.app",
        "netlify.app",
        "herokuapp.com",
        "ngrok.io",
        "ngrok.app",
        "ngrok-free.app",
        "ngrok.dev",
        "trycloudflare.com",
        "workers.dev",
        "pages.dev",
        "amazonaws.com",
        "cloudfront.net",
        "azurewebsites.net",
        "windows.net",
        "appspot.com",
        "run.app",
        "web.app",
        "firebaseapp.com",
        "firebaseio.com",
        "onrender.com",
        "railway.app",
        "fly.dev",
        "deno.dev",
        "replit.dev",
        "pipedream.net",
        "beeceptor.com",
        "localhost.run",
        "serveo.net",
        "webhook.site",
    ]
)
"""Providers under whose name anybody gets one."""

canonical = hostnames.canonical
hosts_in = hostnames.hosts_in
is_address = hostnames.is_address
meant = hostnames.meant
split_port = hostnames.split_port
MAX_TEXT = hostnames.MAX_TEXT


class Scope(StrEnum):
    """What an address or a name is, seen from the machine."""

    METADATA = "metadata"
    LOOPBACK = "loopback"
    PRIVATE = "private"
    PUBLIC = "public"


_METADATA = frozenset(
    {"169.254.169.254", "169.254.170.2", "fd00:ec2::254", "100.100.100.200"}
    | {"metadata.google.internal", "metadata.goog"}
)


def scope(host: str) -> Scope:
    """What a canonical host is. A name that is none of the known ones is public."""
    if host in _METADATA:
        return Scope.METADATA
    if host == "localhost" or host.endswith(".localhost"):
        return Scope.LOOPBACK
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return Scope.PUBLIC
    if address.is_loopback or address.is_unspecified:
        return Scope.LOOPBACK
    return Scope.PRIVATE if address.is_private or address.is_link_local else Scope.PUBLIC


def domain(host: str) -> str:
    """The part of a name that somebody registered; an address as it is."""
    host = canonical(host)
    labels = host.split(".")
    if is_address(host) or len(labels) <= _COUNTRY:
        return host
    short = labels[-2] in _SECOND and len(labels[-1]) == _COUNTRY
    return ".".join(labels[-3:] if short or ".".join(labels[-2:]) in _SHARED else labels[-2:])


def is_nameless(host: str) -> bool:
    """A name that no resolver of the world is asked for: the own one, one of the local network."""
    return ("." not in host and ":" not in host) or host.endswith((".arpa", ".local", ".localhost"))


# --- who named a host -----------------------------------------------------------------------------


def strings(call: Call) -> tuple[str, ...]:
    """The strings we sent with a call that are not too long to be an address."""
    return tuple(text for text in sent(call) if len(text) < MAX_TEXT)


def asked_for(calls: Iterable[Call]) -> frozenset[str]:
    """Domains and addresses that the arguments of some calls name."""
    texts = {string for call in calls for string in strings(call)}
    named = {host for text in texts for host in (*meant(text), *hosts_in(text))}
    return frozenset(map(domain, named))


@dataclass(frozen=True)
class Declared:
    """What a server, its image and the user of this run say that it talks to."""

    domains: frozenset[str]
    words: frozenset[str]
    """Names of services, as they stand in names and as proper nouns."""

    def __contains__(self, host: object) -> bool:
        if not isinstance(host, str):
            return False
        own = domain(host)
        return own in self.domains or label(own) in self.words


_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]{3,}")
_PROPER = re.compile(r"\b[A-Z][A-Za-z0-9]{3,}")
_GENERIC = frozenset(
    [
        "example",
        "test",
        "tests",
        "internal",
        "server",
        "service",
        "tools",
        "tool",
        "data",
        "file",
        "files",
        "http",
        "https",
        "html",
        "json",
        "this",
        "that",
        "name",
        "path",
        "http2",
        "localhost",
        "local",
        "python",
        "node",
        "index",
        "update",
        "updates",
    ]
)


def label(own: str) -> str:
    """``github`` of ``github.com``; empty for an address."""
    return "" if is_address(own) else own.partition(".")[0]


def declared(context: Context) -> Declared:
    """Hosts and services named by listing, image, arguments and ``--allow``; made once."""
    return context.kept("declared hosts", lambda: _declared(context))


def _declared(context: Context) -> Declared:
    observations = context.observations
    launch = observations.image.launch
    texts = [*launch.entrypoint, *launch.command, *launch.environment, *observations.allowed]
    names = [observations.image.reference]
    names += [pair.partition("=")[0].replace("_", " ") for pair in launch.environment]
    proper: list[str] = []
    for session in context.sessions:
        texts += session.container.command_line
    for surface in context.surfaces:
        texts.append(surface.text)
        if surface.kind is Kind.NAME:
            names.append(surface.text[:200].replace("_", " "))
        else:
            proper += _PROPER.findall(surface.text[:MAX_TEXT])
    words = {word.lower() for name in names for word in _WORD.findall(name)}
    words |= {word.lower() for word in proper}
    return Declared(
        frozenset(domain(host) for text in dict.fromkeys(texts) for host in hosts_in(text)),
        frozenset(words - _GENERIC),
    )


_TELEMETRY = frozenset(
    [
        "sentry.io",
        "posthog.com",
        "segment.io",
        "segment.com",
        "amplitude.com",
        "mixpanel.com",
        "google-analytics.com",
        "datadoghq.com",
        "datadoghq.eu",
        "honeycomb.io",
        "newrelic.com",
        "nr-data.net",
        "launchdarkly.com",
        "statsigapi.net",
        "bugsnag.com",
        "rollbar.com",
        "scarf.sh",
    ]
)
_TELEMETRY_NAMES = ("events.data.microsoft.com", "dc.services.visualstudio.com")
"""Names of telemetry below domains that serve other things as well."""
_INDEXES = frozenset({"pypi", "npmjs", "rubygems"})
"""Package indexes, by their names: frameworks ask them whether there is a newer version."""


def is_known(host: str) -> bool:
    """Telemetry, or a question for updates: to be told of, no attack."""
    own = domain(host)
    if f".{canonical(host)}".endswith(tuple(f".{name}" for name in _TELEMETRY_NAMES)):
        return True
    return own in _TELEMETRY or (label(own) in _INDEXES and own.endswith((".org", ".com")))
