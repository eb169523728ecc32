"""Rules on what is fetched, when the image is built and when the server starts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mcp_sandbox.scanners import shell
from mcp_sandbox.scanners.dockerfile_rules.facts import Dockerfile, Hit
from mcp_sandbox.scanners.instructions import words
from mcp_sandbox.scanners.launchers import EXACT, fetched

# --- what it is built from ------------------------------------------------------------------------


def unpinned_base(dockerfile: Dockerfile) -> Iterator[Hit]:
    """``unpinned-base``."""
    before: set[str] = set()
    for stage in dockerfile.stages:
        base = stage.base
        named = (base or "").lower() in before
        if stage.name:
            before.add(stage.name)
        if named or base == "scratch" or (base and "@sha256:" in base):
            continue
        line = stage.start.line
        shown = words(stage.start.text)[0][:100]
        subject = f"FROM {shown}"
        if base is None:
            # ``FROM build-${TARGETARCH}`` chooses between stages.
            known = shown.partition("$")[0].lower()
            if known and any(name.startswith(known) for name in before):
                continue
            told = f"The base {shown} is known only to whoever builds."
            yield Hit(line, told, subject, "low")
            continue
        _, _, tag = base.rpartition("/")[2].partition(":")
        if tag in {"", "latest"}:
            yield Hit(line, f"The base {shown} is whatever is newest at each build.", subject)
        else:
            yield Hit(line, f"The base {shown} has no digest: its tag can move.", subject, "low")


def launcher(dockerfile: Dockerfile) -> Iterator[Hit]:
    """``unpinned-launcher``."""
    argv, line = dockerfile.start
    candidates = [argv[at:] for at in range(min(len(argv), 64))]
    for pipeline in shell.everything([shell.Pipeline((shell.Command(argv),))]):
        candidates += [command.words for command in pipeline.commands]
    for words_ in candidates:
        package = fetched(words_)
        program, arguments = shell.call(words_)
        if not package or (program == "npx" and _local(dockerfile, arguments)):
            continue
        shown = package[:80]
        told = f"{program} fetches {shown} at every start, in whatever version there is then."
        yield Hit(line, told, f"{program} {shown}")
        return


def _local(dockerfile: Dockerfile, arguments: tuple[str, ...]) -> bool:
    """Whether npx finds the program in what the image installed."""
    if {"-y", "--yes"} & set(arguments):
        return False
    return any(
        program in {"npm", "pnpm", "yarn"}
        and not {"-g", "--global"} & set(args)
        and bool({"ci", "i", "install"} & set(args[:1]))
        for _, program, args in dockerfile.calls(final=True)
    )


# --- what is fetched while it is built ------------------------------------------------------------

_FETCHERS = frozenset({"curl", "wget"})
_INTERPRETERS = shell.SHELLS | {"node", "perl", "php", "python", "python3", "ruby"}
_COMMIT = re.compile(r"#[0-9a-f]{40}")


def add(dockerfile: Dockerfile) -> Iterator[Hit]:
    """``add-without-checksum``."""
    for one in dockerfile.all:
        if one.keyword != "ADD" or one.flag("checksum"):
            continue
        for source in (one.argv or tuple(words(one.text)))[:-1]:
            remote = re.match(r"(?i)(?:https?|ftp)://|git@", source)
            if remote and not _COMMIT.search(source):
                shown = _address(source)
                told = f"ADD fetches {shown} and takes whatever is there."
                yield Hit(one.line, told, f"ADD {shown}")


def _address(url: str) -> str:
    """An address without what may hold a secret: user, password, query."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    clean = host.rpartition("@")[2] + slash + re.split(r"[?#]", path, maxsplit=1)[0]
    return f"{scheme}://{clean}"[:100] if rest else "a remote file"


def _fetches(command: shell.Command) -> bool:
    return command.program() in _FETCHERS or any(
        _fetches(one) for pipeline in command.inner for one in pipeline.commands
    )


def pipe(dockerfile: Dockerfile) -> Iterator[Hit]:
    """``pipe-to-shell``."""
    for one, pipeline in ((one, line) for one, several in dockerfile.runs for line in several):
        fetching = False
        for command in pipeline.commands:
            program, arguments = shell.call(command.words)
            runs = program in _INTERPRETERS and (
                fetching or any(_fetches(inner) for p in command.inner for inner in p.commands)
            )
            if runs and not (fetching and {"-c", "-m", "-e"} & set(arguments)):
                told = f"What is downloaded goes straight into {program}, whatever it is."
                yield Hit(one.line, told, f"RUN {program}")
            fetching = fetching or _fetches(command)


_LOCKED_FLAGS = frozenset({"-r", "--requirement", "-c", "--constraint", "--require-hashes", "-e"})
_PIP_VALUES = frozenset(
    {"-i", "--index-url", "--extra-index-url", "--find-links", "-f", "-t", "--target", "--prefix"}
    | {"--trusted-host", "--root", "--python", "--platform", "--cache-dir", "--editable"}
)
_TOOLS = frozenset({"pip", "setuptools", "wheel"})


def unlocked(dockerfile: Dockerfile) -> Iterator[Hit]:
    """``unlocked-install``."""
    for one, called, arguments in dockerfile.calls():
        program, rest = _installer(called, arguments)
        loose: list[str] = []
        if program == "pip":
            loose = _loose_pip(rest)
        elif program == "npm":
            loose = _loose_npm(rest)
        if loose:
            shown = ", ".join(name[:60] for name in loose[:3])
            told = f"{program} installs {shown} in whatever version there is."
            yield Hit(one.line, told, f"{program} install {shown}")


def _installer(program: str, arguments: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """``pip`` or ``npm`` with what follows ``install``; an empty name for all else."""
    if program == "uv" and arguments[:1] == ("pip",):
        program, arguments = "pip", arguments[1:]
    elif re.fullmatch(r"python[\d.]*", program) and arguments[:2] == ("-m", "pip"):
        program, arguments = "pip", arguments[2:]
    elif re.fullmatch(r"pip[\d.]+", program):
        program = "pip"
    verbs = {"install", "i", "add"} if program == "npm" else {"install"}
    flags = [word for word in arguments if word.startswith("-")]
    at = next((at for at, word in enumerate(arguments) if not word.startswith("-")), None)
    if program not in {"pip", "npm"} or at is None or arguments[at] not in verbs:
        return "", ()
    return program, (*flags, *arguments[at + 1 :])


def _loose_pip(arguments: tuple[str, ...]) -> list[str]:
    if {word.partition("=")[0] for word in arguments} & _LOCKED_FLAGS:
        return []
    if any(word.startswith("-r") for word in arguments):
        return []
    loose: list[str] = []
    skip = False
    for word in arguments:
        if skip or word.startswith("-"):
            skip = word in _PIP_VALUES and not skip
            continue
        pinned = "==" in word or "@" in word or word.startswith((".", "/", "$"))
        if not pinned and word not in _TOOLS and not word.endswith((".whl", ".gz", ".zip")):
            loose.append(re.split(r"[^\w.\[\]-]", word, maxsplit=1)[0] or "a package")
    return loose


def _loose_npm(arguments: tuple[str, ...]) -> list[str]:
    named = [word for word in arguments if not word.startswith("-")]
    if not named:
        return [] if {"-g", "--global"} & set(arguments) else ["what package.json names"]
    return [
        _shown_package(word)
        for word in named
        if not EXACT.search(word) and not word.startswith((".", "/", "$")) and word != "npm"
    ]


def _shown_package(word: str) -> str:
    return _address(word) if "://" in word else re.sub(r"[^\w.@/^~-]", "?", word)
