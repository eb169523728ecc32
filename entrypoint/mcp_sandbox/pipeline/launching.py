"""What is made of all that files declare: what is applied, what is only told, what is still needed.

The order: what the user or the policy gives, then the files in theirs, then what the server itself
shows when it runs. An image that says how it is started is believed: a file's arguments take the
place of its command only where the file speaks of this very image, or the image gives none.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from mcp_sandbox import locate
from mcp_sandbox.launch import declared as files
from mcp_sandbox.launch import kinds, secrets, slots, values
from mcp_sandbox.model import ImageFacts, LaunchFacts
from mcp_sandbox.model.launch import Decided, Declared, LaunchReport, Needed, SettingKind, Where
from mcp_sandbox.settings import Settings

MAX_NEEDED = 64


def decide(settings: Settings, image: ImageFacts) -> Decided:
    """Read the files of the folder and the image's labels, and decide.

    Nothing is raised for what is wrong in them: that is a note.
    """
    folder, prefix = settings.context, ""
    if folder is not None:
        folder = folder.resolve()
        prefix = folder.relative_to(locate.root(folder).resolve()).as_posix()
    called = (settings.image or "", settings.source or "")
    found = files.find(folder, prefix, image.launch.labels, called)
    return decided(settings, image.launch, found.declared, found.notes)


def decided(
    settings: Settings,
    image: LaunchFacts,
    declared: Iterable[Declared],
    notes: Iterable[str] = (),
) -> Decided:
    """The same of what has been read, in its order of precedence."""
    declared = tuple(declared)
    about = [one for one in declared if one.ours and one.trusted]
    applied: list[str] = []
    told = list(notes)
    arguments, source = _arguments(settings, image, about, told)
    if arguments is not None and source is not None:
        applied.append(f"{_at(source)}: arguments {shlex.join(arguments)[:200]}")
    environment, needed = _settings(settings, image, about, applied, source)
    if len(needed) > MAX_NEEDED:
        told.append(f"{len(needed)} settings are asked for; {MAX_NEEDED} were looked at.")
    place = next((one for one in about if one.port or one.url_path), None)
    if place is not None:
        where = f"port {place.port or '?'}, {place.url_path or '/'}"
        applied.append(f"{_at(place)}: {where} is tried first")
    return Decided(
        arguments=arguments,
        environment=tuple(environment),
        needed=tuple(needed[:MAX_NEEDED]),
        port=place.port if place else None,
        url_path=place.url_path if place else "",
        declared=declared,
        applied=tuple(applied),
        notes=tuple(told),
    )


def _at(one: Declared) -> str:
    return f"{one.path}:{one.line}" if one.line else one.path


# --- arguments ------------------------------------------------------------------------------------


def _arguments(
    settings: Settings, image: LaunchFacts, about: list[Declared], told: list[str]
) -> tuple[tuple[str, ...] | None, Declared | None]:
    """The arguments that take the place of the image's command, and who says them."""
    for one in sorted(about, key=lambda one: not one.names_image):
        if not one.arguments:
            continue
        if settings.args:
            why = "others were given"
        elif one.names_image and image.entrypoint:
            return one.arguments, one
        elif one.names_image and image.command:
            # The command is the program; what a user of the image would add stands behind it.
            return _behind(image.command, one.arguments), one
        elif image.entrypoint and not image.command:
            return one.arguments, one
        else:
            why = "the image has a command of its own"
        if one.arguments not in {tuple(image.command), tuple(settings.args)}:
            said = shlex.join(one.arguments)[:200]
            told.append(f"{_at(one)}: the arguments {said} are not applied: {why}.")
    return None, None


def _behind(command: tuple[str, ...], arguments: tuple[str, ...]) -> tuple[str, ...]:
    """The image's program with arguments that it does not have yet."""
    if arguments[: len(command)] == command:
        return arguments
    return command if command[-len(arguments) :] == arguments else (*command, *arguments)


# --- settings -------------------------------------------------------------------------------------


def _settings(
    settings: Settings,
    image: LaunchFacts,
    about: list[Declared],
    applied: list[str],
    source: Declared | None,
) -> tuple[list[str], list[Needed]]:
    """``NAME=VALUE`` of what a file fixes, and what has no value yet."""
    given = {pair.partition("=")[0] for pair in settings.env}
    own = {
        name
        for name, _, value in (pair.partition("=") for pair in image.environment)
        if value and not (values.waits(value) and kinds.kind(name) is SettingKind.SECRET)
    }
    fixed: dict[str, str] = {}
    open_: dict[tuple[Where, str], Needed] = {}
    for declared in about:
        for one in declared.needed:
            if one.where is not Where.ENVIRONMENT:
                continue
            if one.name in given or (one.name in own and not declared.names_image):
                continue
            if one.value and one.required and one.name not in fixed:
                fixed[one.name] = one.value
                shown = secrets.shown(one.name, one.value)
                applied.append(f"{one.source}: {one.name}={shown[:100]}")
            elif not one.value and one.name not in own:
                open_.setdefault((one.where, one.name), one)
    needed = [one for (_, name), one in open_.items() if name not in fixed]
    if source is not None and source.arguments is not None:
        needed += slots.open_in(source.arguments, source.needed)
    return [f"{name}={value}" for name, value in fixed.items()], needed


def applied(settings: Settings, made: Decided) -> Settings:
    """The settings with what is applied of the files.

    Arguments with an open slot are left to whoever invents its value; see ``launch.slots``.
    """
    env = (*made.environment, *settings.env)
    args = settings.args
    if made.arguments and not slots.open_in(made.arguments, made.needed):
        args = made.arguments
    return settings.model_copy(update={"args": args, "env": env})


# --- what is told ---------------------------------------------------------------------------------


def report(made: Decided) -> LaunchReport:
    """What the report says before anything is known of the start itself."""
    return LaunchReport(declared=made.declared, applied=made.applied, notes=made.notes)
