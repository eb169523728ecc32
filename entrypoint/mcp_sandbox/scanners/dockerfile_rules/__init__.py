"""What no scanner says of the Dockerfile of an MCP server: the rules, each with its fix.

A rule reads the instructions of one Dockerfile and yields the places it hits. Values of secrets are
looked at and never told.
"""

from __future__ import annotations

from mcp_sandbox.scanners.dockerfile_rules import fetching, image
from mcp_sandbox.scanners.dockerfile_rules.facts import Dockerfile, DockerfileRule, Hit

__all__ = ["RULES", "Dockerfile", "DockerfileRule", "Hit"]

RULES: tuple[DockerfileRule, ...] = (
    DockerfileRule(
        "add-without-checksum",
        "medium",
        "ADD fetches a file that nobody checks",
        "Say what it must be with `ADD --checksum=sha256:…`; for git, name the commit.",
        "A checksum or a whole commit id is given",
        fetching.add,
        (494,),
    ),
    DockerfileRule(
        "expose-without-need",
        "low",
        "A port is exposed by a server that speaks over stdio",
        "Take EXPOSE out, or start the server with the transport that needs it.",
        "The start command, the environment or the health check speaks of a port or of HTTP",
        image.expose,
        (1125,),
    ),
    DockerfileRule(
        "healthcheck-program",
        "low",
        "The health check needs a program that the image does not have",
        "Install it in the final stage, or check with the server's own language.",
        "The base is not known to lack it; it is installed or copied",
        image.healthcheck,
    ),
    DockerfileRule(
        "no-user",
        "low",
        "The server runs as root",
        "End the final stage with `USER` and an unprivileged user.",
        "A USER other than root; a base whose tag says nonroot",
        image.no_user,
        (250,),
    ),
    DockerfileRule(
        "pipe-to-shell",
        "medium",
        "A download is run without a look at it",
        "Download it, check it against a digest, then run it.",
        "The download goes into a file, an archiver or a check",
        fetching.pipe,
        (494,),
    ),
    DockerfileRule(
        "secret-in-build",
        "high",
        "ENV or ARG holds a secret",
        "Revoke it where it is one. Give secrets at run time, or to a build with `--mount=secret`.",
        "A placeholder, a path, an empty value, a variable; a name that only contains the word",
        image.secrets,
        (522, 798),
    ),
    DockerfileRule(
        "unlocked-install",
        "low",
        "Packages are installed in whatever version there is",
        "Lock them: `pip install --require-hashes -r requirements.txt`, `npm ci`.",
        "Versions are exact, or come from a file; the package is local",
        fetching.unlocked,
        (1357,),
    ),
    DockerfileRule(
        "unpinned-base",
        "medium",
        "The base image can change",
        "Name it by digest: `FROM image:tag@sha256:…`.",
        "A digest, an earlier stage, scratch",
        fetching.unpinned_base,
        (1357,),
    ),
    DockerfileRule(
        "unpinned-launcher",
        "medium",
        "The server is fetched at every start, in whatever version there is",
        "Install it while the image is built, in an exact version, and start what was installed.",
        "The version is exact, the package local or already installed",
        fetching.launcher,
        (494,),
    ),
)
"""All rules, by id."""
