"""Rules on what the image is: its user, its secrets, its health check, its ports."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mcp_sandbox.scanners import shell
from mcp_sandbox.scanners.dockerfile_rules.facts import Dockerfile, Hit
from mcp_sandbox.scanners.instructions import json_form, pairs, words

# --- who it runs as -------------------------------------------------------------------------------


def no_user(dockerfile: Dockerfile) -> Iterator[Hit]:
    """``no-user``."""
    said = dockerfile.last("USER")
    if said is None:
        base = dockerfile.base or ""
        if "nonroot" not in base and "rootless" not in base:
            line = dockerfile.stages[-1].start.line
            yield Hit(line, "The final stage names no USER: the server runs as root.", "USER")
        return
    user = "".join(words(said.text)[:1]).partition(":")[0]
    if user == "root" or (user.isascii() and user.isdigit() and int(user[:20]) == 0):
        yield Hit(said.line, f"The final USER is {user[:20]}: the server runs as root.", "USER")


# --- secrets --------------------------------------------------------------------------------------

_SECRET_LAST = frozenset(
    {"apikey", "credential", "credentials", "passphrase", "passwd", "password", "secret", "token"}
)
_SECRET_PAIRS = frozenset(
    {(first, "key") for first in ("access", "api", "auth", "encryption", "private", "secret")}
)
_SHAPES = re.compile(
    r"gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{22}|glpat-[\w-]{20}|(?:AKIA|ASIA)[A-Z0-9]{16}"
    r"|sk-[A-Za-z0-9_-]{20}|xox[abprs]-[\w-]{10}|AIza[\w-]{35}|[rs]k_live_\w{16}"
    r"|npm_[A-Za-z0-9]{36}|pypi-[\w-]{50}|hf_[A-Za-z]{30}|-----BEGIN [A-Z ]{0,30}PRIVATE KEY"
    r"|eyJ[\w-]{10,500}\.eyJ[\w-]{10,2000}\."
    r"|://[^/\s:@]{1,100}:[^/\s:@$<{]{4,100}@"
)
_PLACEHOLDER = re.compile(
    r"(?i)<.*>|\W*|.*(?:change[_-]?me|example|placeholder|your[_-]|dummy|redacted|xxxx|\.\.\.).*"
    r"|true|false|none|null|todo|unset|test|secret|password|\d{1,5}|/[\w./-]*",
    re.DOTALL,
)
_DISTINCT = 6
_MAX_VALUE = 2048


def _names_secret(name: str) -> bool:
    parts = [part for part in re.split(r"[_\W]+", name.lower()) if part]
    return bool(parts) and (parts[-1] in _SECRET_LAST or tuple(parts[-2:]) in _SECRET_PAIRS)


def _has_shape(value: str) -> bool:
    match = _SHAPES.search(value[:_MAX_VALUE])
    return match is not None and len(set(match[0])) > _DISTINCT


def secrets(dockerfile: Dockerfile) -> Iterator[Hit]:
    """``secret-in-build``."""
    given: set[str] = set()
    first = dockerfile.stages[0].start.line
    for one in (*dockerfile.before, *dockerfile.all):
        if one.keyword not in {"ARG", "ENV"}:
            continue
        for name, value in pairs(one):
            subject = f"{one.keyword} {re.sub(r'[^A-Za-z0-9_]', '?', name)[:60]}"
            if value is not None:
                yield from _valued(one.line, subject, _names_secret(name), value, given)
            elif _names_secret(name):
                given.add(name)
                if one.line > first:
                    told = f"{subject} takes a secret, which stays in the image's history."
                    yield Hit(one.line, told, subject, "low")


def _valued(line: int, subject: str, named: bool, value: str, given: set[str]) -> Iterator[Hit]:
    """A name with a value; ``given``: the secrets that came as build arguments."""
    if _has_shape(value):
        yield Hit(line, f"{subject} holds something shaped like a key.", subject)
    elif named and re.fullmatch(r"\$\{?(\w+)\}?", value):
        if value.strip("${}") in given:
            told = f"{subject} keeps a build argument that is a secret in the image."
            yield Hit(line, told, subject, "medium")
    elif named and value and "$" not in value and not _PLACEHOLDER.fullmatch(value[:_MAX_VALUE]):
        yield Hit(line, f"{subject} is named like a secret and has a value.", subject, "medium")


# --- the health check -----------------------------------------------------------------------------

_CHECKERS = frozenset({"curl", "nc", "ncat", "netcat", "wget"})
_MANAGERS = frozenset({"apk", "apt", "apt-get", "dnf", "microdnf", "yum", "zypper"})
_PACKAGES = {
    "nc": ("netcat", "nc", "nmap"),
    "ncat": ("ncat", "nmap"),
    "netcat": ("netcat", "nc"),
}


def _lacks(base: str, program: str) -> bool:
    """Whether an image is known to come without ``program``; what is not known has it."""
    name = base.partition("@")[0].rpartition("/")[2]
    image, _, tag = name.partition(":")
    if image == "scratch" or "distroless" in base:
        return True
    if "alpine" in name or image == "busybox":
        return program in {"curl", "ncat", "netcat"}
    return "slim" in tag or image in {"debian", "ubuntu"}


def healthcheck(dockerfile: Dockerfile) -> Iterator[Hit]:
    """``healthcheck-program``."""
    one = dockerfile.last("HEALTHCHECK")
    if one is None or dockerfile.base is None:
        return
    split = one.text.split(None, 1)
    if len(split) != 2 or split[0].upper() != "CMD":  # noqa: PLR2004 - CMD and what it runs
        return
    text = _argument(split[1])
    found = shell.everything(text)
    used = {command.program() for pipeline in found for command in pipeline.commands}
    for program in sorted(used & _CHECKERS):
        if _lacks(dockerfile.base, program) and not _installed(dockerfile, program):
            told = f"The health check needs {program}, which the image does not have."
            yield Hit(one.line, told, f"HEALTHCHECK {program}")


def _argument(text: str) -> tuple[shell.Pipeline, ...]:
    """The command of a health check in either form."""
    argv = json_form(text)
    return shell.parse(text) if argv is None else (shell.Pipeline((shell.Command(argv),)),)


def _installed(dockerfile: Dockerfile, program: str) -> bool:
    packages = _PACKAGES.get(program, (program,))
    for one in dockerfile.final:
        if one.keyword in {"ADD", "COPY"}:
            target = [*(one.argv or words(one.text)), ""][-2:]
            if any(part.rstrip("/").endswith(f"/{program}") for part in target):
                return True
    return any(
        manager in _MANAGERS and any(word.startswith(packages) for word in arguments)
        for _, manager, arguments in dockerfile.calls(final=True)
    )


# --- ports ----------------------------------------------------------------------------------------

_NETWORKED = re.compile(
    r"(?i)\b(?:https?|sse|streamable|uvicorn|gunicorn|hypercorn|daphne|flask|fastapi|nginx|port"
    r"|host|bind|listen|serve|0\.0\.0\.0)\b|:\d{2,5}\b"
)


def expose(dockerfile: Dockerfile) -> Iterator[Hit]:
    """``expose-without-need``."""
    started = " ".join(dockerfile.start[0])
    told = [started]
    for one in dockerfile.final:
        if one.keyword == "HEALTHCHECK":
            told.append(one.text)
        elif one.keyword == "ENV":
            told += [f"{name.replace('_', ' ')} {value or ''}" for name, value in pairs(one)]
    stdio = re.search(r"(?i)\bstdio\b", started) is not None
    if not started or (not stdio and any(_NETWORKED.search(text) for text in told)):
        return
    for one in dockerfile.final:
        if one.keyword == "EXPOSE":
            ports = " ".join(words(one.text))[:60]
            message = (
                f"EXPOSE {ports}: nothing says that this server listens; over stdio it does not."
            )
            yield Hit(one.line, message, f"EXPOSE {ports}")
