"""What files that say how a server is started would give it, if they were followed to the letter.

Nothing of it is ever applied here. A README is read by people, and an entry about another server
starts that one: both count one class less, but for what is lost whoever reads it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from mcp_sandbox.model import Confidence, Evidence, Location, RiskClass, RuleInfo
from mcp_sandbox.model.launch import Danger, DangerKind, Declared
from mcp_sandbox.rules.context import Context
from mcp_sandbox.rules.registry import Hit, rule
from mcp_sandbox.rules.surfaces import quote

H, M, N = RiskClass.HIGH, RiskClass.MEDIUM, RiskClass.NOTE

CLASSES: dict[DangerKind, RiskClass] = {
    DangerKind.CONTROL: H,
    DangerKind.ACCESS: M,
    DangerKind.FOLDER: N,
    DangerKind.NETWORK: M,
    DangerKind.ROOT: N,
    DangerKind.SECRET: H,
    DangerKind.DOWNLOAD: H,
    DangerKind.UNPINNED: N,
}
MILDER = {H: M, M: N, N: N}
ANYWAY = frozenset({DangerKind.SECRET, DangerKind.DOWNLOAD})
"""As bad wherever it stands."""
PROOF = "The line of the file."


def _hits(context: Context, kinds: Collection[DangerKind]) -> Iterator[Hit]:
    for declared in context.observations.launch.declared:
        for danger in declared.dangers:
            if danger.kind in kinds:
                yield _hit(declared, danger)


def _hit(declared: Declared, danger: Danger) -> Hit:
    class_ = CLASSES[danger.kind]
    sure = declared.trusted and declared.ours
    if not sure and danger.kind not in ANYWAY:
        class_ = MILDER[class_]
    whose = "" if declared.ours or not declared.name else f" (for {quote(declared.name, 60)})"
    place = Location(danger.path, danger.line, "configuration") if danger.line else None
    return Hit(
        subject=f"configuration/{danger.path}",
        fact=f"{danger.kind.value}: {danger.option}",
        message=f"“{quote(danger.option, 160)}”{whose}: {danger.why}. It was not applied.",
        class_=class_,
        confidence=Confidence.HIGH if sure else Confidence.MEDIUM,
        location=place,
    )


@rule(
    RuleInfo(
        id="config-host-access",
        title="A configuration gives the server the host",
        class_=H,
        evidence=Evidence.E5,
        what="`docker run` with `--privileged`, the engine's socket, the host's processes, a "
        "strong capability, no confinement, or a folder of the host's system: whoever takes the "
        "server over has the host. Medium for a device, another capability, a namespace or "
        "folders with credentials; a note for any other folder of the host. One class less in a "
        "README, and where the entry is about another server.",
        proof=PROOF,
        quiet_when="A named volume or a tmpfs is mounted; the option is the engine's default.",
        fix="Take the option out. Give the server a volume, or one folder that holds nothing else, "
        "read-only.",
        cwe=(250, 668),
    )
)
def config_host_access(context: Context) -> Iterator[Hit]:
    """Options that open the container."""
    yield from _hits(context, {DangerKind.CONTROL, DangerKind.ACCESS, DangerKind.FOLDER})


@rule(
    RuleInfo(
        id="config-host-network",
        title="A configuration gives the server the host's network",
        class_=M,
        evidence=Evidence.E5,
        what="`docker run --network host`: the server reaches every service that listens on the "
        "host alone, and what it listens on itself is open to others. A note in a README.",
        proof=PROOF,
        quiet_when="Any other network is named.",
        fix="Publish the one port that is needed: `-p 127.0.0.1:8080:8080`.",
        cwe=(668,),
    )
)
def config_host_network(context: Context) -> Iterator[Hit]:
    """The host's network."""
    yield from _hits(context, {DangerKind.NETWORK})


@rule(
    RuleInfo(
        id="config-runs-as-root",
        title="A configuration starts the server as root",
        class_=N,
        evidence=Evidence.E5,
        what="`docker run --user root` or `--user 0`, whatever user the image names.",
        proof=PROOF,
        quiet_when="Another user is named.",
        fix="Leave the option out, and name a user in the Dockerfile.",
        cwe=(250,),
    )
)
def config_runs_as_root(context: Context) -> Iterator[Hit]:
    """The user root."""
    yield from _hits(context, {DangerKind.ROOT})


@rule(
    RuleInfo(
        id="config-secret",
        title="A configuration holds a secret",
        class_=H,
        evidence=Evidence.E5,
        what="A key, a token or a password stands in a file that says how the server is started: "
        "in `env`, in a header, in `-e NAME=…`, among the arguments. Its value is shown nowhere, "
        "and the server was started with another one.",
        proof="The line of the file, and the form of a known key there, or the name of a secret "
        "beside something long that looks random.",
        quiet_when="The value is a placeholder, a reference such as `${API_KEY}` or "
        "`${input:key}`, or of few different characters.",
        fix="Revoke it. Refer to it: `${env:API_KEY}`, `${input:key}` with `password: true`, "
        "`-e NAME` without a value.",
        cwe=(798, 312),
    )
)
def config_secret(context: Context) -> Iterator[Hit]:
    """Secrets in plain text."""
    yield from _hits(context, {DangerKind.SECRET})


@rule(
    RuleInfo(
        id="config-runs-download",
        title="A configuration runs a download unseen",
        class_=H,
        evidence=Evidence.E5,
        what="A command such as `curl … | sh` starts the server: whoever controls that address "
        "controls every machine that opens the configuration.",
        proof=PROOF,
        quiet_when="The download goes into a file or a check.",
        fix="Install the server in an exact version, and start what was installed.",
        cwe=(494, 829),
    )
)
def config_runs_download(context: Context) -> Iterator[Hit]:
    """Downloads that are run."""
    yield from _hits(context, {DangerKind.DOWNLOAD})


@rule(
    RuleInfo(
        id="config-unpinned",
        title="A configuration starts whatever version there is",
        class_=N,
        evidence=Evidence.E5,
        what="`npx -y NAME`, `uvx NAME` or an image without a tag, or with `latest`: the next "
        "release runs on every machine at its next start, looked at or not.",
        proof=PROOF,
        quiet_when="The version is exact, the image has another tag or a digest, the package is "
        "local; in a README, whose reader decides.",
        fix="Name the version: `npx -y NAME@1.2.3`, `uvx NAME==1.2.3`, `IMAGE@sha256:…`.",
        cwe=(1357,),
    )
)
def config_unpinned(context: Context) -> Iterator[Hit]:
    """Versions that are left open."""
    yield from _hits(context, {DangerKind.UNPINNED})
