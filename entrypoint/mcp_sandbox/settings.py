"""Every option of a scan: one frozen model with its default, bounds and help text.

The command's options, the action's inputs and the tables of both are generated from this model.
Field names are the option names with ``_`` for ``-``. Validation errors become one ``BadInput``
sentence in the front door.
"""

from __future__ import annotations

import difflib
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from mcp_sandbox import endpoints
from mcp_sandbox.errors import BadInput
from mcp_sandbox.model import Limits, Network, Profile, Tls, Transport
from mcp_sandbox.sources import names as source_names


class ScannerName(StrEnum):
    """What ``scanners`` may name; ``auto`` is every one that is installed."""

    AUTO = "auto"
    TRIVY = "trivy"
    TRUFFLEHOG = "trufflehog"
    HADOLINT = "hadolint"
    SEMGREP = "semgrep"
    DOCKERFILE = "mcp-dockerfile"


class FailOn(StrEnum):
    """Conditions that fail the gate."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    DRIFT = "drift"
    INCONCLUSIVE = "inconclusive"


_SIZE = re.compile(r"([0-9]+)([bkmg]?)", re.ASCII | re.IGNORECASE)
_UNIT = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30}


def parse_size(value: object) -> object:
    """``256m`` -> bytes, as the docker CLI reads it. Other types pass through to the validator."""
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise ValueError("expected a size such as 256m or 1g")
    return int(match[1]) * _UNIT[match[2].lower()]


def parse_assignment(value: str) -> str:
    """Check one ``NAME=VALUE``."""
    name, equals, _ = value.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError("expected NAME=VALUE")
    if "\0" in value:
        raise ValueError("a NUL character cannot stand in the environment")
    return value


def parse_header(value: str) -> str:
    """Check one ``NAME=VALUE`` that becomes ``NAME: VALUE``."""
    name, equals, text = value.partition("=")
    if not equals or not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}", name):
        raise ValueError("expected NAME=VALUE with the name of a header")
    if name.lower() in _OURS or name.lower().startswith("mcp-"):
        raise ValueError(f"the header {name} is set by the prober itself")
    if not re.fullmatch(r"[\x20-\x7e]{1,8192}", text) or text != text.strip():
        raise ValueError("a header's value is printable ASCII, with no space at its ends")
    return value


_OURS = frozenset(
    {"accept", "accept-encoding", "connection", "content-length", "content-type", "host", "origin"}
    | {"te", "trailer", "transfer-encoding", "upgrade", "user-agent"}
)


def parse_commit(value: str) -> str:
    """Check the full id of a commit; empty stands for none."""
    if value and not re.fullmatch(r"[0-9a-f]{40}(?:[0-9a-f]{24})?", value):
        raise ValueError("expected the full id of a commit, 40 or 64 hexadecimal digits")
    return value


def parse_list(value: object) -> object:
    """``("critical,high",)`` -> ``("critical", "high")``; ``none`` alone is the empty list."""
    if not isinstance(value, list | tuple):
        return value
    words = [word.strip() for item in value for word in str(item).split(",")]
    return () if words == ["none"] else tuple(word for word in words if word)


Size = Annotated[int, BeforeValidator(parse_size)]
Assignment = Annotated[str, BeforeValidator(parse_assignment)]
HttpHeader = Annotated[str, AfterValidator(parse_header)]
Commit = Annotated[str, AfterValidator(parse_commit)]


class Settings(BaseModel):
    """The options of ``mcp-sandbox scan``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    context: Path | None = Field(None, description="Folder with the server's Dockerfile.")
    image: str | None = Field(None, description="Scan this image instead of building one.")
    source: str | None = Field(
        None,
        description="Package, bundle or repository to scan, instead of an image: "
        + ", ".join(f"`{form}`" for form in source_names.FORMS.values())
        + ".",
    )
    entry_point: str = Field(
        "",
        description="Command of the package that is the server (default: the one that suggests "
        "itself; the report says which).",
    )
    constraint: tuple[str, ...] = Field(
        (),
        description="What the resolution of a package keeps to, as `mcp<2` for pip or `zod@^3` for "
        "npm; may be repeated.",
    )
    system_packages: Annotated[tuple[str, ...], BeforeValidator(parse_list)] = Field(
        (),
        description="Debian packages that the image of a package gets, such as `git`. A list with "
        "commas, or repeated.",
    )
    install_scripts: bool = Field(
        False,
        description="Let the scripts of npm packages run while their image is built.",
    )
    dockerfile: Path | None = Field(
        None, description="Dockerfile to build, relative to the context (default: Dockerfile)."
    )
    build_network: Literal["default", "none"] = Field(
        "default", description="Network of the build's RUN steps."
    )
    build_timeout: int = Field(1200, ge=1, le=7200, description="Seconds the build may take.")
    out: Path = Field(
        Path("mcp-sandbox-report"),
        description="Folder for report.json, results.sarif, results-full.sarif, summary.md.",
    )
    transport: Transport = Field(
        Transport.AUTO,
        description="How to speak to the server: over its standard streams, by streamable `http`, "
        "by the older `sse`; `auto` takes what answers first.",
    )
    network: Network = Field(
        Network.SINK,
        description="The server's network: `sink` answers every address, forwards nothing and "
        "writes it down; `none` has no route at all.",
    )
    allow: tuple[str, ...] = Field(
        (),
        description="HOST[:PORT] that packets may leave to, each request written down; may be "
        "repeated. All else stays in the sink.",
    )
    tls: Tls = Field(
        Tls.OBSERVE,
        description="TLS in the sink: `observe` notes the name asked for; `terminate` reads what "
        "is inside, by a run-local authority that the server is told to trust.",
    )
    jobs: int = Field(2, ge=1, le=64, description="Containers of the server that work at once.")
    env: tuple[Assignment, ...] = Field(
        (), description="NAME=VALUE for the server's environment; may be repeated."
    )
    http_header: tuple[HttpHeader, ...] = Field(
        (),
        description="NAME=VALUE of a header that goes with every request to a server that speaks "
        "MCP over HTTP, such as a token that it wants; may be repeated.",
    )
    fail_below: float = Field(
        0, ge=0, le=100, description="Fail the gate when the score is below this."
    )
    fail_on: Annotated[tuple[FailOn, ...], BeforeValidator(parse_list)] = Field(
        (FailOn.CRITICAL, FailOn.HIGH),
        description="Fail the gate on findings of these classes, on `drift` from the baseline "
        "(where there is one, always) or on an `inconclusive` run; `none` for none of these. A "
        "list with commas, or repeated.",
    )
    baseline: str = Field(
        "auto",
        min_length=1,
        description="Lock file to compare with: `auto` takes mcp-sandbox.lock.json in the folder "
        "that is scanned, `none` compares with nothing, and a path names another one. Where `base` "
        "is known, it is read from that commit.",
    )
    baseline_image: str | None = Field(
        None,
        description="Compare with what this image does, run in the same job, instead of with a "
        "lock file.",
    )
    config: str = Field(
        "auto",
        min_length=1,
        description="Policy to judge by: `auto` takes mcp-sandbox.toml in the folder that is "
        "scanned, `none` goes without, and a path names another one. Read like the lock file.",
    )
    trust: Literal["base", "tree"] = Field(
        "base",
        description="Whose lock file and policy count where `base` is known: `base` those of that "
        "commit, `tree` the checkout's own, which a pull request can write.",
    )
    repository: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._-]{0,100}$",
        description="Name of the repository: tells the alerts of a server at its root from those "
        "of others (default: the folder's name).",
    )
    scanners: Annotated[tuple[ScannerName, ...], BeforeValidator(parse_list)] = Field(
        (ScannerName.AUTO,),
        description="Scanners of the image and the checkout: `auto` runs all that are installed, "
        "`none` runs none, a list names them; one that is named and did not run makes the run "
        "inconclusive. A list with commas, or repeated.",
    )
    scanner_timeout: int = Field(600, ge=1, le=7200, description="Seconds each scanner may take.")
    trivy_db: str = Field(
        "",
        description="Repository of Trivy's vulnerability database, for a mirror (default: "
        "Trivy's own).",
    )
    trivy_cache: Path | None = Field(
        None, description="Folder with Trivy's database; made and kept when it is named."
    )
    trivy_db_max_age: int = Field(
        14, ge=0, le=3650, description="Days after which Trivy's database is too old to rely on."
    )
    trivy_licences: bool = Field(False, description="Have Trivy report licences too.")
    verify_secrets: bool = Field(
        False,
        description="Have TruffleHog ask the services whether a secret still works: it is sent "
        "there. Never done on pull requests.",
    )
    base: Commit = Field(
        "",
        description="Commit that the change starts from: its lock file and policy count, and "
        "secrets are searched from there on.",
    )
    head: Commit = Field("", description="Last commit of the change.")
    profile: Profile = Field(
        Profile.DEFAULT,
        description="`default` asks for proof; `seed` applies the article's classes to the letter.",
    )
    seed: int = Field(0, ge=0, le=2**32 - 1, description="Seed of every generated input.")
    timeout: int = Field(900, ge=10, le=7200, description="Seconds the probing may take in all.")
    start_timeout: float = Field(
        30, gt=0, le=600, description="Seconds until the server's first answer, per start."
    )
    call_timeout: float = Field(10, gt=0, le=300, description="Seconds for one call.")
    max_calls: int = Field(
        5000, ge=1, le=1_000_000, description="Most calls of a run, shared among the tools."
    )
    memory: Size = Field(
        Limits().memory, ge=6 * 2**20, le=2**40, description="The server's memory, swap included."
    )
    cpus: float = Field(Limits().cpus, ge=0.01, le=1024, description="The server's CPUs.")
    pids: int = Field(Limits().pids, ge=1, le=2**22, description="The server's processes.")
    helper_image: str = Field(
        "mcp-sandbox-action:local",
        description="Our own image, for the helper that reads the server's /tmp.",
    )
    args: tuple[str, ...] = Field((), description="Arguments for the server itself, after `--`.")
    docker_host: str | None = Field(None, description="Engine address (default: DOCKER_HOST).")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [one for one in (self.context, self.image, self.source) if one is not None]
        if len(given) != 1:
            raise ValueError(
                "give either a folder with a Dockerfile, a source such as pypi:NAME==VERSION, or "
                "--image REF"
            )
        if self.image is not None and self.dockerfile is not None:
            raise ValueError("--dockerfile goes with a folder, not with --image")
        self._of_source()
        for image in (self.image, self.baseline_image):
            if image is not None and (not image or image.startswith("-")):
                raise ValueError(f"{image!r} is no image reference")
        if self.baseline_image is not None and self.baseline not in {"auto", "none"}:
            raise ValueError("--baseline-image goes without --baseline")
        endpoints.all_allowed(self.allow)
        if self.allow and self.network is Network.NONE:
            raise ValueError("--allow goes with --network sink, not with --network none")
        if ScannerName.AUTO in self.scanners and len(self.scanners) > 1:
            raise ValueError("--scanners is auto, none, or a list of names")
        return self

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The headers of ``http_header``, as (name, value)."""
        return tuple(
            (name, value) for name, _, value in (h.partition("=") for h in self.http_header)
        )

    def _of_source(self) -> None:
        """Raise ``ValueError`` for what does not go with the source, or with none."""
        kind = None if self.source is None else source_names.parse(self.source).kind
        for name, goes_with in _GOES_WITH.items():
            if getattr(self, name) and kind not in goes_with:
                forms = " or ".join(source_names.FORMS[one] for one in goes_with)
                raise ValueError(f"{option(name)} goes with {forms}")
        if self.dockerfile is not None and kind not in {None, source_names.Kind.GIT}:
            raise ValueError("--dockerfile goes with a folder or a repository")

    @property
    def limits(self) -> Limits:
        """The server container's limits."""
        return Limits(memory=self.memory, cpus=self.cpus, pids=self.pids)


_PYPI, _NPM, _BUNDLE = (
    source_names.Kind.PYPI,
    source_names.Kind.NPM,
    source_names.Kind.BUNDLE,
)
_GOES_WITH = {
    "entry_point": (_PYPI, _NPM),
    "constraint": (_PYPI, _NPM, _BUNDLE),
    "system_packages": (_PYPI, _NPM, _BUNDLE),
    "install_scripts": (_NPM,),
}


def option(name: str) -> str:
    """``fail_below`` -> ``--fail-below``."""
    return "--" + name.replace("_", "-")


def shown_default(name: str) -> str:
    """A setting's default as one would type it; empty when there is none."""
    default = Settings.model_fields[name].default
    if default is None or default in {(), ""}:
        return ""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return ",".join(default)
    if name == "memory":
        return f"{default // 2**20}m"
    return str(default)


def load(values: dict[str, Any]) -> Settings:
    """Validate raw values.

    Raises ``BadInput`` with one sentence that names the first wrong option; an unknown one gets a
    suggestion.
    """
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        if first["type"] == "extra_forbidden":
            near = difflib.get_close_matches(name, Settings.model_fields, n=1)
            hint = f"; did you mean {option(near[0])}?" if near else ""
            raise BadInput(f"There is no option {option(name)}{hint}.") from error
        text = first["msg"].removeprefix("Value error, ")
        if not name:
            raise BadInput(f"{text[0].upper()}{text[1:]}.") from error
        # What follows these may be a secret.
        given = "" if name in {"env", "http_header"} else f" {str(first['input'])[:100]}"
        raise BadInput(f"{option(name)}{given}: {text[0].lower()}{text[1:]}.") from error
