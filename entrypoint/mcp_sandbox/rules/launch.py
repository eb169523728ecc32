"""What the server needs in order to start at all."""

from __future__ import annotations

from collections.abc import Iterator

from mcp_sandbox.model import Evidence, Relaxation, RiskClass, RuleInfo, Session
from mcp_sandbox.model.launch import StartReason
from mcp_sandbox.rules.context import Context
from mcp_sandbox.rules.registry import Hit, rule
from mcp_sandbox.rules.surfaces import quote

M, N = RiskClass.MEDIUM, RiskClass.NOTE


def is_root(user: str) -> bool:
    """An image's ``USER`` that is uid 0."""
    return user.partition(":")[0].strip() in {"", "0", "root"}


@rule(
    RuleInfo(
        id="runs-as-root",
        title="The image runs as root",
        class_=N,
        evidence=Evidence.E3,
        what="The image names no user, or root. Here it was started as an unprivileged one; "
        "elsewhere it will not be.",
        proof="The image's configuration.",
        quiet_when="The image names another user.",
        fix="Add a user to the Dockerfile and a `USER` line with its number.",
        cwe=(250,),
    )
)
def runs_as_root(context: Context) -> Iterator[Hit]:
    """Images without a user of their own."""
    user = context.observations.image.launch.user
    if is_root(user):
        said = f"names the user “{quote(user, 40)}”" if user else "names no user"
        yield Hit(subject="image", fact="root", message=f"The image {said}.")


def _relaxed(context: Context, relaxation: Relaxation) -> Session | None:
    """The session of a server that answered with this relaxation: a vain attempt proves no need."""
    if all(one.outcome != "answered" for one in context.observations.attempts):
        return None
    for session in context.sessions:
        if session.container.relaxation is relaxation:
            return session
    return None


def _needed(context: Context, relaxation: Relaxation, what: str) -> Iterator[Hit]:
    if session := _relaxed(context, relaxation):
        vain = [one.outcome for one in context.observations.attempts if one.outcome != "answered"]
        # Of a setting that was missing it had been given one by then.
        why = next((one for one in vain if not one.startswith(StartReason.MISSING_SETTING)), "")
        yield Hit(
            subject="server",
            fact=relaxation.value,
            message=f"The server answered only with {what}"
            + (f"; without: {quote(why, 200)}." if why else "."),
            session=session,
        )


@rule(
    RuleInfo(
        id="needs-writable-root",
        title="The server starts only with a writable root",
        class_=N,
        evidence=Evidence.E3,
        what="With a read-only root and a writable /tmp the server did not answer; with a writable "
        "root it did.",
        proof="The two starts.",
        quiet_when="The server answers under the strict settings.",
        fix="Write to /tmp, or to a folder that the user mounts.",
        cwe=(732,),
    )
)
def needs_writable_root(context: Context) -> Iterator[Hit]:
    """The first step of the ladder."""
    yield from _needed(context, Relaxation.WRITABLE_ROOT, "a writable root")


@rule(
    RuleInfo(
        id="needs-more-memory",
        title="The server starts only with more memory",
        class_=N,
        evidence=Evidence.E3,
        what="Under the memory limit the server did not answer; with more it did.",
        proof="The starts.",
        quiet_when="The server answers under the strict settings.",
        fix="Load less at start.",
        cwe=(770,),
    )
)
def needs_more_memory(context: Context) -> Iterator[Hit]:
    """The second step of the ladder."""
    yield from _needed(context, Relaxation.MORE_MEMORY, "a writable root and more memory")


@rule(
    RuleInfo(
        id="needs-image-user",
        title="The server starts only as the image's own user",
        class_=M,
        evidence=Evidence.E3,
        what="As an unprivileged user the server did not answer; as the image's own user it did. "
        "Medium when that user is root.",
        proof="The starts.",
        quiet_when="The server answers as an unprivileged user.",
        fix="Make the files that the server needs readable by all, and write to /tmp only.",
        cwe=(250,),
    )
)
def needs_image_user(context: Context) -> Iterator[Hit]:
    """The last step of the ladder."""
    root = is_root(context.observations.image.launch.user)
    for hit in _needed(
        context, Relaxation.IMAGE_USER, "a writable root, more memory and the image's own user"
    ):
        yield Hit(**{**vars(hit), "class_": None if root else N})
