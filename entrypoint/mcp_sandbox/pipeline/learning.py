"""The steps that learn something: image, sessions, scanners, places in the source."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from mcp_sandbox import interrupts, locate, planted
from mcp_sandbox.errors import BadInput, Interrupted, NothingToRun, SandboxError
from mcp_sandbox.image import ImageStore
from mcp_sandbox.model import (
    ImageFacts,
    ItemKind,
    Json,
    Location,
    Network,
    Observations,
    RunFacts,
    ScannerRun,
)
from mcp_sandbox.model.launch import Decided, Sidecar
from mcp_sandbox.model.locked import Baseline
from mcp_sandbox.pipeline import comparing, launching, sourcing
from mcp_sandbox.pipeline.results import Results
from mcp_sandbox.pipeline.running import Held, Observer, Tools
from mcp_sandbox.pipeline.scanning import Scanning
from mcp_sandbox.pipeline.sessions import hold
from mcp_sandbox.pipeline.starting import tell_unlisted, unanswered
from mcp_sandbox.probe.hostile import Targets
from mcp_sandbox.sandbox import Engine, Sandbox
from mcp_sandbox.settings import Settings

SWEEP_AGE = 3600
"""Seconds after its announced end at which another run's leftovers may be removed."""

LEAVING_TIME = 5.0
"""Seconds: who stops a run does not wait long for it to be cleared away."""

CLOSING_TIME = 120
"""Seconds added to the probing's limit before another run may take this one for dead."""


class Clock:
    """Passes on what is going on, and keeps where the time goes: each phase ends the one before."""

    def __init__(self, observer: Observer) -> None:
        """``observer`` is told."""
        self._observer = observer
        self._started = datetime.now(UTC).isoformat(timespec="seconds")
        self._begin = self._mark = time.monotonic()
        self._name = ""
        self._phases: dict[str, float] = {}

    def phase(self, name: str) -> None:
        """Begin a phase."""
        now = time.monotonic()
        if self._name:
            self._phases[self._name] = self._phases.get(self._name, 0.0) + now - self._mark
        self._name, self._mark = name, now
        self._observer.phase(name)

    def doing(self, what: str) -> None:
        """Something within the phase."""
        self._observer.doing(what)

    def facts(self, run_id: str) -> RunFacts:
        """This run, so far."""
        now = time.monotonic()
        phases = self._phases | {self._name: now - self._mark}
        rounded = {name: round(seconds, 2) for name, seconds in phases.items()}
        return RunFacts(run_id, self._started, round(now - self._begin, 2), rounded)


@dataclass
class Learned:
    """What is known so far; survives whatever breaks the run off."""

    image: ImageFacts | None = None
    launch: Decided | None = None
    """How it was decided to start the server."""
    planted: tuple[str, ...] = ()
    held: Held = field(default_factory=Held)
    scanners: tuple[ScannerRun, ...] = ()
    scanners_requested: tuple[str, ...] = ()
    definitions: dict[str, Location] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def observations(self, settings: Settings) -> Observations | None:
        """The facts, once there is an image to speak of."""
        if self.image is None:
            return None
        return Observations(
            image=self.image,
            planted=tuple(dict.fromkeys((*self.planted, *self.held.planted))),
            limits=settings.limits,
            allowed=settings.allow,
            network=settings.network,
            tls=settings.tls,
            attempts=tuple(self.held.attempts),
            sessions=tuple(self.held.sessions),
            scanners=self.scanners,
            scanners_requested=self.scanners_requested,
            definitions=self.definitions,
            left_out=tuple(self.held.left_out),
            launch=self.held.launch,
            reached=self.held.reached,
            oauth=self.held.oauth,
            http=tuple(self.held.http),
        )


@dataclass
class Learning:
    """The steps that learn something, in their order."""

    settings: Settings
    clock: Clock
    results: Results
    learned: Learned
    run_id: str
    environment: Mapping[str, str]
    launch: Decided | None = None
    """How to start the server, where that is known already."""
    sidecars: tuple[Sidecar, ...] = ()

    def learn(self) -> None:
        """Collect the observations: image, sessions, places in the source."""
        self.clock.phase("engine")
        engine = Engine(self.settings.docker_host)
        self.learned.versions |= engine.describe()
        engine.sweep(SWEEP_AGE)
        with Scanning(self.settings, self.environment) as scanning:
            self.learned.scanners_requested = scanning.requested
            try:
                self._learn_all(engine, scanning)
            except BaseException:
                self.learned.scanners = scanning.so_far()
                # Once more, for all that this run made: a signal may have broken off the removal.
                engine.clean(self.run_id, within=LEAVING_TIME)
                raise
        self.clock.phase("locate")
        self.learned.definitions = _definitions(self.settings, self.learned)

    def _learn_all(self, engine: Engine, scanning: Scanning) -> None:
        store = ImageStore(self.settings.docker_host, self.run_id)
        scanning.begin()
        self.clock.phase("build" if self.settings.image is None else "image")
        self.learned.image = image = self._image(store)
        scanning.image_is_there(store, image.id)
        self._probe(engine, store, image)
        self.clock.phase("scanners")
        self.learned.scanners = scanning.results()
        self.learned.versions |= {
            one.tool: one.version for one in self.learned.scanners if one.version
        }
        store.remove_built()

    def _image(self, store: ImageStore) -> ImageFacts:
        settings = self.settings
        if settings.source is not None:
            return sourcing.image(store, settings, self.environment, self.results)
        if settings.context is None:
            return store.take(settings.image or "")
        return store.build(
            settings.context,
            dockerfile=settings.dockerfile,
            network=settings.build_network,
            timeout=settings.build_timeout,
            environment=self.environment,
        )

    def _beside(self, store: ImageStore) -> tuple[tuple[Sidecar, ImageFacts], ...]:
        """The sidecars with their images, pulled where they are not there."""
        if self.sidecars and self.settings.network is Network.NONE:
            raise BadInput("A sidecar in [launch.sidecar] goes with --network sink.")
        told = tuple(f"{one.name}: {one.image} on port {one.port}" for one in self.sidecars)
        self.learned.held.launch = replace(self.learned.held.launch, sidecars=told)
        return tuple((one, store.take(one.image)) for one in self.sidecars)

    def _probe(self, engine: Engine, store: ImageStore, image: ImageFacts) -> None:
        made = self.launch or launching.decide(self.settings, image)
        self.learned.launch = made
        self.learned.held.launch = launching.report(made)
        settings = launching.applied(self.settings, made)
        launch = image.launch
        if not (launch.entrypoint or launch.command or settings.args):
            raise NothingToRun(
                f"The image {image.reference!r} has neither an ENTRYPOINT nor a CMD."
            )
        sandbox = Sandbox(
            engine,
            image,
            run_id=self.run_id,
            limits=settings.limits,
            extra_env=settings.env,
            extra_args=settings.args,
            helper_image=settings.helper_image,
            lifetime=settings.timeout + CLOSING_TIME,
            network=settings.network,
            tls=settings.tls,
            allow=settings.allow,
            sidecars=self._beside(store),
        )
        self.clock.phase("plant")
        with sandbox, ExitStack() as files:
            given = folders(image, settings)
            bait = planted.make(
                self.run_id,
                home=sandbox.home(),
                declared=planted.declared(launch, settings.env),
                directories=given,
            )
            beside = planted.samples_beside((image.launch.working_dir or "/", *given))
            sandbox.plant(bait.files, bait.appended, bait.links, bait.owned, beside)
            sandbox.sample(planted.samples_in_scratch())
            missing = {f"file:{path}" for path in sandbox.unplanted}
            self.learned.planted = tuple(place for place in bait.places if place not in missing)
            matcher = planted.Matcher(bait)
            targets = Targets(
                seed=settings.seed,
                planted_file=bait.outside_file,
                ssh_key=bait.ssh_key,
                directories=given,
                neighbour=bait.neighbour,
                link=_there(bait.link, sandbox),
                linked_file=_there(bait.linked_file, sandbox),
                repository=_there(bait.repository, sandbox, "/.git/HEAD"),
            )
            tools = Tools(
                sandbox=sandbox,
                settings=settings,
                targets=targets,
                environment=bait.environment,
                matcher=matcher,
                grower=planted.Grower(bait, matcher),
                record_for=lambda name: files.enter_context(self.results.transcript(name, matcher)),
                results=self.results,
                bait=frozenset({*bait.files, *bait.links}),
                observer=self.clock,
                numbers=itertools.count(1),
                launch=made,
                image=image,
                machine=self.learned.versions.get("architecture", ""),
            )
            hold(tools, self.learned.held)
            tell_unlisted(tools, self.learned.held)


def _there(path: str, sandbox: Sandbox, part: str = "") -> str:
    """A planted path; empty when it, or this part of it, could not be planted."""
    return "" if f"{path}{part}" in sandbox.unplanted else path


def folders(image: ImageFacts, settings: Settings) -> tuple[str, ...]:
    """Folders that the server was given: absolute paths among its arguments and settings.

    A path in a folder of programs is a program: the browser that a server drives, say.
    """
    launch = image.launch
    argv = [*launch.entrypoint, *(settings.args or launch.command)]
    words = [word if word.startswith("/") else word.partition("=")[2] for word in argv[1:]]
    words += [pair.partition("=")[2] for pair in settings.env]
    words += [
        value
        for name, _, value in (pair.partition("=") for pair in launch.environment)
        if _FOLDER_SETTING.search(name)
    ]
    found = [
        word.rstrip("/")
        for word in words
        if word.startswith("/")
        and word.rstrip("/")
        and "." not in word.rsplit("/", 1)[-1]
        and not _PROGRAM.search(word)
    ]
    return tuple(dict.fromkeys(found))


_PROGRAM = re.compile(r"/s?bin/[^/]+$")
_FOLDER_SETTING = re.compile(r"(?:^|_)(?:ALLOWED|DATA|DIRS?|DIRECTOR|FOLDER|REPO|ROOTS?|WORKSPACE)")
"""Settings of an image that name a folder for the server's work, not one of its libraries."""


def _definitions(settings: Settings, learned: Learned) -> dict[str, Location]:
    """Lines of the checkout that define what the server lists."""
    if settings.context is None:
        return {}
    subjects: dict[str, Json] = {}
    for session in learned.held.sessions:
        for listing in session.transcript.listings:
            key = {ItemKind.TOOLS: "name", ItemKind.PROMPTS: "name"}.get(listing.kind)
            if key is not None:
                for item in listing.items:
                    subjects.setdefault(f"{listing.kind.value}/{item[key]}", item)
    build = learned.image.build if learned.image else None
    return locate.locate(settings.context, None, subjects, build.dockerfile if build else None)


@dataclass(frozen=True)
class _Beside:
    """An observer of what is done with the base image."""

    clock: Clock

    def phase(self, name: str) -> None:
        self.clock.phase(f"base image: {name}")

    def doing(self, what: str) -> None:
        self.clock.doing(what)


def have_base_image(settings: Settings, run_id: str) -> None:
    """Pull the base image when it is not there.

    Raises ``ImageMissing`` when it cannot be had, ``EngineUnavailable``, ``EngineFailed``.
    """
    store = ImageStore(settings.docker_host, run_id)
    try:
        store.take(settings.baseline_image or "")
    finally:
        store.close()


def base_image(
    settings: Settings,
    clock: Clock,
    run_id: str,
    environment: Mapping[str, str],
    launch: Decided | None,
    *,
    sidecars: tuple[Sidecar, ...] = (),
) -> Baseline:
    """Run the base image as the server was run, same seed and same limits; what it did counts.

    ``launch``: how it was decided to start the server.

    Its results are kept nowhere. An image that cannot be run whole is a baseline that nobody knows.
    """
    reference = settings.baseline_image or ""
    unset = dict.fromkeys(("context", "dockerfile", "source"))
    other = {**unset, "image": reference, "scanners": ()}
    settings = settings.model_copy(update=other)
    learned = Learned()
    with interrupts.temporary_folder("mcp-sandbox-base-") as folder:
        results = Results(folder / "results")
        beside = Clock(_Beside(clock))
        try:
            Learning(
                settings, beside, results, learned, run_id, environment, launch, sidecars
            ).learn()
        except Interrupted:
            raise
        except SandboxError as error:
            return comparing.unusable(reference, f"{error.what} {error.next_step}".strip())
    observations = learned.observations(settings)
    assert observations is not None  # noqa: S101 - learn raises when there is no image
    mute = unanswered(learned.held)
    if mute is not None:
        return comparing.unusable(reference, mute.what)
    return comparing.of_image(reference, observations, settings.profile)
