"""What is planted, and where.

Every secret holds a *core* of 25 characters [0-9a-z]: eight of its own, nine that all cores of the
run share (so that a search can begin with one needle), and eight of its own again. The core is
wrapped into the shape that a reader of such a secret expects.

A plant must not change what an ordinary server does. Hence:
- By default the environment gets names that nothing selects a backend by: the AWS pair, a GitHub
  token and a decoy. ``DATABASE_URL``, ``OPENAI_API_KEY`` and the like switch servers to another
  mode, so they are planted only when the caller names them as declared by the server.
- Names that steer a loader or an interpreter (``PATH``, ``LD_PRELOAD``, ``NODE_OPTIONS``…) are not
  planted, whoever declares them; they are listed in ``skipped``.
- Files use profiles, hosts and names that no client picks by default (``[backup]``,
  ``*.internal.example``), and ``.env`` holds no name that frameworks read.
- A repository and links are planted only for a server that was given a folder, and the repository
  outside of it: a git server without a folder of its own may read whatever it is told to.
- An access key id is no secret (it travels in every signed request): it is well-formed, random, and
  not searched for.
"""

from __future__ import annotations

import posixpath
import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mcp_sandbox.planted.home import home_files
from mcp_sandbox.planted.repository import CHECKED_OUT, repository
from mcp_sandbox.planted.shapes import BASE32, Mint, Random, aws, bare, github, plain, shape_for

MAX_DECLARED = 64
MAX_DIRECTORIES = 8

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NEVER = re.compile(
    r"PATH|HOME|USER|SHELL|PWD|TERM|LANG|LC_.*|TZ|HOSTNAME|IFS|ENV|BASH_.*|LD_.*|DYLD_.*|PYTHON.*|"
    r"NODE_.*|NPM_CONFIG_.*|UV_.*|PIP_.*|JAVA_.*|JDK_.*|RUBY.*|PERL.*|GO[A-Z]*|DOTNET_.*|GIT_.*|"
    r"SSL_.*|REQUESTS_.*|CURL_.*|.*_PROXY|DOCKER_.*|MCP_(PORT|TRANSPORT|HOST)|PORT|HOST"
)
_OUTSIDE = ("/opt/backup", "/srv/backup", "/var/backups/service", "/mnt/backup")
_OUTSIDE_NAME = "service-token"
_EXTENSIONS = (".txt", "", ".md", ".json", ".yaml", ".csv", ".log", ".html")
_ARCHIVE = "archive"
"""Folder below the outside one that links lead to, with ``_LINKED`` in it."""
_LINKED = "service.log"
_REPOSITORY = "infrastructure"


@dataclass(frozen=True)
class Planted:
    """Everything to plant. The values are secret: none is part of the representation."""

    run_id: str
    tag: str = field(repr=False)
    cores: dict[str, str] = field(repr=False)
    """Place -> core. A place is ``env:NAME`` or ``file:/path``."""
    values: dict[str, str] = field(repr=False)
    """Place -> the whole secret that holds the core."""
    environment: dict[str, str] = field(repr=False)
    files: dict[str, bytes] = field(repr=False)
    """Absolute path -> content. A file that the image brings along is left as it is."""
    appended: dict[str, bytes] = field(repr=False)
    """Absolute path -> lines to add at its end."""
    outside_file: str
    """A planted file outside every allowed folder; empty when nothing is outside."""
    neighbour: str = ""
    """A planted file in a folder named like the first allowed one, and a bit more."""
    ssh_key: str = ""
    links: dict[str, str] = field(default_factory=dict)
    """Absolute path in an allowed folder -> the path outside that it leads to. To be made only
    where that folder exists already."""
    link: str = ""
    """The first link that leads to a planted file."""
    linked_file: str = ""
    """A planted file behind a link that leads to its folder."""
    repository: str = ""
    """The folder of a planted git repository; empty when the server was given no folder."""
    owned: tuple[str, ...] = ()
    """Folders that are to belong to the server's user, with all that is in them: git reads no
    repository of anybody else's."""
    skipped: tuple[str, ...] = ()
    """Declared names that were not planted."""

    @property
    def places(self) -> tuple[str, ...]:
        """Where secrets are, without their values."""
        return tuple(self.cores)


def make(
    run_id: str,
    *,
    home: str,
    declared: Sequence[str] = (),
    directories: Sequence[str] = (),
    randbelow: Random = secrets.randbelow,
) -> Planted:
    """Make the secrets of one run.

    ``home`` is the server's home folder, ``declared`` the names of settings that the server itself
    says are secret, ``directories`` the folders that it is given (absolute, inside its container).
    Raises ``ValueError`` when a path is not absolute.
    """
    for path in (home, *directories):
        if not path.startswith("/") or "\0" in path:
            raise ValueError(f"{path!r} is no absolute path")
    mint = Mint(randbelow)
    home = home.rstrip("/")
    allowed = [posixpath.normpath(path) for path in directories[:MAX_DIRECTORIES]]
    environment = {
        "AWS_ACCESS_KEY_ID": "AKIA" + mint.random(BASE32, 16),
        "AWS_SECRET_ACCESS_KEY": mint.secret("env:AWS_SECRET_ACCESS_KEY", aws),
        "GITHUB_TOKEN": mint.secret("env:GITHUB_TOKEN", github),
        "BACKUP_API_KEY": mint.secret("env:BACKUP_API_KEY", plain),
    }
    skipped = []
    for name in dict.fromkeys(declared):
        if name in environment:
            continue
        if len(environment) >= MAX_DECLARED or not _NAME.fullmatch(name) or _NEVER.fullmatch(name):
            skipped.append(name)
            continue
        environment[name] = mint.secret(f"env:{name}", shape_for(name))
    files = dict(home_files(mint, home))
    outside = _outside_folder(allowed)
    for extension in _EXTENSIONS if outside else ():
        path = f"{outside}/{_OUTSIDE_NAME}{extension}"
        files[path] = f"{mint.secret(f'file:{path}', plain)}\n".encode()
    neighbours = list(_neighbours(allowed))
    for path in neighbours:
        files[path] = f"{mint.secret(f'file:{path}', plain)}\n".encode()
    links: dict[str, str] = {}
    owned: tuple[str, ...] = ()
    if outside and allowed:
        linked = f"{outside}/{_ARCHIVE}/{_LINKED}"
        files[linked] = f"{mint.secret(f'file:{linked}', plain)}\n".encode()
        links = dict(_links(allowed, linked))
        folder = f"{outside}/{_REPOSITORY}"
        core = mint.secret(f"file:{folder}/{CHECKED_OUT}", bare)
        files |= {f"{folder}/{name}": data for name, data in repository(core).items()}
        owned = (folder,)
    gecos = mint.secret("file:/etc/passwd", bare)
    line = f"backup-service:x:64999:64999:{gecos}:/nonexistent:/usr/sbin/nologin\n"
    return Planted(
        run_id=run_id,
        tag=mint.tag,
        cores=mint.cores,
        values=mint.values,
        environment=environment,
        files=files,
        appended={"/etc/passwd": line.encode()},
        outside_file=f"{outside}/{_OUTSIDE_NAME}{_EXTENSIONS[0]}" if outside else "",
        neighbour=neighbours[0] if neighbours else "",
        ssh_key=f"{home}/.ssh/id_rsa",
        links=links,
        link=next(iter(links), ""),
        linked_file=next((f"{path}/{_LINKED}" for path in list(links)[1:2]), ""),
        repository=next(iter(owned), ""),
        owned=owned,
        skipped=tuple(skipped),
    )


# --- files ----------------------------------------------------------------------------------------


def _outside_folder(allowed: Sequence[str]) -> str:
    return next((one for one in _OUTSIDE if not _inside(one, allowed)), "")


def _neighbours(allowed: Sequence[str]) -> Iterator[str]:
    """Files next to the allowed folders: name-alikes first, then the parent itself."""
    for ending in ("-evil", "_evil"):
        for folder in allowed:
            path = f"{folder}{ending}/{_OUTSIDE_NAME}{_EXTENSIONS[0]}"
            if folder != "/" and not _inside(path, allowed):
                yield path
    for folder in dict.fromkeys(posixpath.dirname(one) for one in allowed):
        path = f"{folder.rstrip('/')}/{_OUTSIDE_NAME}{_EXTENSIONS[0]}"
        if not _inside(path, allowed):
            yield path


def _links(allowed: Sequence[str], linked: str) -> Iterator[tuple[str, str]]:
    """Two links in each allowed folder: to the planted file, and to the folder it lies in."""
    for folder in allowed:
        if folder != "/":
            yield f"{folder}/latest.log", linked
            yield f"{folder}/current", posixpath.dirname(linked)


def _inside(path: str, folders: Sequence[str]) -> bool:
    return any(path == one or path.startswith(one.rstrip("/") + "/") for one in folders)
