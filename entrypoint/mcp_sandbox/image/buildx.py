"""The ``docker buildx`` commands of a run: what they are given, and what their failures mean."""

from __future__ import annotations

import re
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from mcp_sandbox import proc
from mcp_sandbox.errors import BuildFailed, EngineUnavailable, SandboxError
from mcp_sandbox.image import context as context_

LOG_LINES = 40
MAX_EXPORT = 32 * 2**20
"""Bytes of what a stage may hold that is exported."""
MAX_EXPORTED = 64
"""Files of it."""
_LOG_BYTES = 64 * 2**10
_NO_BUILDX = re.compile(r"'buildx' is not a docker command|unknown command: docker buildx")


_COMMON = (
    *("docker", "buildx", "build", "--builder", "default", "--progress", "plain"),
    *("--provenance=false", "--sbom=false"),
)


def command(
    dockerfile: str, *, network: str, labels: Mapping[str, str], iidfile: Path
) -> tuple[str, ...]:
    """The build's arguments: context on standard input, nothing lent to it.

    The engine's own builder is named, because a configured default may be one in a container or in
    a cloud. Attestations are off: they would make the id that of an index instead of an image.
    """
    made = [*_COMMON, "--load", "--network", network, "--iidfile", str(iidfile)]
    for name, value in sorted(labels.items()):
        made += ["--label", f"{name}={value}"]
    return (*made, "--file", dockerfile, "-")


def export_command(dockerfile: str, *, network: str, stage: str, anew: str) -> tuple[str, ...]:
    """The same for the files of one stage, as a tar on standard output."""
    made = [*_COMMON, "--network", network, "--target", stage, "--no-cache-filter", anew]
    return (*made, "--output", "type=tar,dest=-", "--file", dockerfile, "-")


def run(
    argv: Sequence[str],
    context: context_.Context,
    environment: Mapping[str, str],
    timeout: float,
    spool: BinaryIO | None = None,
) -> None:
    """Run one of the commands; its standard output goes to ``spool``.

    Raises ``BuildFailed`` and ``EngineUnavailable``.
    """
    try:
        result = proc.run(
            argv,
            environment=environment,
            timeout=timeout,
            stdin=context_.stream(context),
            keep=_LOG_BYTES,
            spool=spool,
            spool_bytes=MAX_EXPORT,
        )
    except OSError as error:
        raise EngineUnavailable(
            f"The docker command cannot be run ({error.strerror}).",
            next_step="Install the Docker CLI with its buildx plugin.",
        ) from error
    if result.overflowed:
        raise BuildFailed(f"What the build is to hand over is larger than {MAX_EXPORT} bytes.")
    if not result.succeeded:
        raise failure(result, timeout)


def exported(
    argv: Sequence[str], context: context_.Context, environment: Mapping[str, str], timeout: float
) -> dict[str, bytes]:
    """Run ``export_command``; the regular files at the root of what it wrote, by name."""
    with tempfile.TemporaryFile() as spool:
        run(argv, context, environment, timeout, spool)
        spool.seek(0)
        files: dict[str, bytes] = {}
        try:
            with tarfile.open(fileobj=spool, mode="r:") as archive:
                for member in archive:
                    stream = archive.extractfile(member) if member.isreg() else None
                    if stream is None or member.issparse():
                        continue
                    if len(files) >= MAX_EXPORTED:
                        raise BuildFailed("What the build is to hand over has too many files.")
                    files[member.name] = stream.read()
        except tarfile.TarError as error:
            raise BuildFailed("What the build is to hand over cannot be read.") from error
    return files


def failure(result: proc.ProcessResult, timeout: float) -> SandboxError:
    """What happened, with the build's last log lines."""
    log = result.stderr.decode("utf-8", "replace").replace("\r", "\n").splitlines()
    if log[:1] and _NO_BUILDX.search(log[0]):
        return EngineUnavailable(
            "The Docker CLI has no buildx plugin.", next_step="Install docker-buildx."
        )
    what = (
        f"The image was not built within {timeout:.0f} seconds."
        if result.timed_out
        else f"The image could not be built (docker buildx ended with {result.exit_code})."
    )
    return BuildFailed(what, detail="\n".join(line[:500] for line in log[-LOG_LINES:]))
