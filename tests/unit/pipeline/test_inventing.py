"""What a server is started with after it has failed: what it named, what its help says, no more."""

from __future__ import annotations

import itertools
import os
import time
from types import SimpleNamespace
from typing import Any

import pytest

from mcp_sandbox import planted
from mcp_sandbox.launch.failure import judge
from mcp_sandbox.launch.seen import Seen
from mcp_sandbox.model import Relaxation, SessionEnd, Tracing
from mcp_sandbox.model.launch import Decided, Needed, SettingKind, StartReason, Where
from mcp_sandbox.pipeline.inventing import MAX_HELP, MAX_RESTARTS, Inventing
from mcp_sandbox.pipeline.plans import Plans
from mcp_sandbox.pipeline.running import Held, Tools, Unobserved
from mcp_sandbox.probe.hostile import Targets
from mcp_sandbox.settings import load

NONE = Relaxation.NONE
NOTHING = Decided()


class Pipe:
    """A stream whose other end has said all it will say."""

    def __init__(self, text: bytes) -> None:
        self._read, write = os.pipe()
        self.ended = False
        self._rest = text
        os.write(write, b".")
        os.close(write)

    def fileno(self) -> int:
        return self._read

    def recv(self) -> bytes | None:
        part, self._rest = self._rest[:4096], self._rest[4096:]
        self.ended = not part
        if self.ended:
            os.close(self._read)
        return part


class Box:
    """A sandbox that writes down what it is asked for; its servers answer ``--help`` alone."""

    def __init__(self, answer: bytes = b"") -> None:
        self.answer = answer
        self.started: list[dict[str, Any]] = []
        self.files: dict[str, bytes] = {}
        self.arguments: tuple[str, ...] = ()

    def plant(self, files: dict[str, bytes], appended: dict[str, bytes]) -> None:
        self.files |= files

    def start(self, **options: Any) -> Any:
        self.started.append(options)
        stream = Pipe(self.answer)
        return SimpleNamespace(
            stream=stream, finish=lambda **_: SimpleNamespace(stderr="on standard error")
        )


def begun(
    decided: Decided = NOTHING, answer: bytes = b"", left: float = 600, **settings: Any
) -> tuple[Inventing, Plans, Held, Box]:
    box = Box(answer)
    bait = planted.make("run", home="/home/u")
    matcher = planted.Matcher(bait)
    tools = Tools(
        sandbox=box,  # type: ignore[arg-type]
        settings=load({"image": "i", **settings}),
        targets=Targets(0),
        environment=bait.environment,
        matcher=matcher,
        grower=planted.Grower(bait, matcher),
        record_for=lambda _: None,  # type: ignore[arg-type, return-value]
        results=None,  # type: ignore[arg-type]
        bait=frozenset(),
        observer=Unobserved(),
        numbers=itertools.count(1),
        launch=decided,
    )
    plans, held = Plans(tools, time.monotonic() + left), Held()
    return Inventing(plans, held), plans, held, box


def failed(stderr: str, code: int = 1) -> tuple[Seen, Any]:
    seen = Seen(SessionEnd.EXITED, exit_code=code, stderr=stderr)
    return seen, judge(seen)


def needed(name: str, kind: SettingKind = SettingKind.TEXT, **more: Any) -> Needed:
    return Needed(name, more.pop("where", Where.ENVIRONMENT), kind, "server.json:3", **more)


def test_what_it_names_is_given_and_told():
    inventing, plans, held, _ = begun()
    assert inventing.again(*failed("ACME_API_KEY and ACME_URL are not set"), NONE)
    tools = plans.tools
    assert tools.given.settings == ("ACME_URL=https://api.internal.example",)
    key = tools.environment["ACME_API_KEY"]
    assert [hit.place for hit in tools.matcher.find(key.encode())] == ["env:ACME_API_KEY"]
    assert [one.name for one in held.launch.invented] == ["ACME_API_KEY", "ACME_URL"]
    assert held.launch.restarts == 1
    assert held.planted == ("env:ACME_API_KEY",)
    assert "BACKUP_API_KEY" in tools.environment  # what was planted before is still there


def test_what_the_user_gave_is_never_replaced():
    inventing, plans, held, box = begun(env=("ACME_URL=mine",), args=("--port=1",))
    assert not inventing.again(*failed("ACME_URL is not set"), NONE)
    assert not inventing.again(*failed("--port is required"), NONE)
    assert plans.tools.given.settings == ()
    assert held.launch.invented == ()
    assert len(box.started) == 1  # one --help


def test_there_is_a_last_restart():
    inventing, _, held, _ = begun()
    tried = [inventing.again(*failed(f"ACME_{n}_KEY is not set"), NONE) for n in range(20)]
    assert tried == [True] * MAX_RESTARTS + [False] * (20 - MAX_RESTARTS)
    assert held.launch.restarts == MAX_RESTARTS


def test_nothing_is_begun_without_time():
    inventing, _, _, box = begun(left=1)
    assert not inventing.again(*failed("ACME_KEY is not set"), NONE)
    assert box.started == []


def test_what_files_require_is_there_from_the_start_and_what_is_optional_later():
    decided = Decided(needed=(needed("ACME_A"), needed("ACME_B", required=False)))
    inventing, plans, held, box = begun(decided)
    assert plans.tools.given.settings == ("ACME_A=sample",)
    assert held.launch.restarts == 0
    assert inventing.again(*failed("panic", 3), NONE)
    assert plans.tools.given.settings == ("ACME_A=sample", "ACME_B=sample")
    assert box.started == []  # the files were enough


def test_slots_are_filled_and_a_secret_is_not_shown():
    decided = Decided(
        arguments=("serve", "--key=<API key>", "<folder>"),
        needed=(
            needed("API key", SettingKind.SECRET, where=Where.FLAG),
            needed("folder", SettingKind.FOLDER, where=Where.POSITIONAL),
        ),
    )
    _, plans, _, _ = begun(decided)
    given = plans.tools.given
    assert given.command is not None
    words = [word for word, _ in given.command]
    assert words[0] == "serve"
    assert words[1].startswith("--key=")
    assert plans.tools.matcher.find(words[1].encode())
    assert words[2] == "/tmp"
    assert [shown for _, shown in given.command] == [
        "serve",
        "--key=<planted:argument:API key>",
        "/tmp",
    ]
    assert given.arguments == ()
    assert plans.tools.targets.directories == ("/tmp",)


def test_help_is_asked_once_and_untraced():
    answer = b"Usage: server [OPTIONS]\n\nOptions:\n  --token TEXT  [required]\n"
    inventing, plans, held, box = begun(answer=answer)
    assert inventing.again(*failed("", 2), NONE)
    (asked,) = box.started
    assert asked["given"].arguments == (("--help", "--help"),)
    assert asked["tracing"] is Tracing.NONE
    assert [word.partition("=")[0] for word, _ in plans.tools.given.arguments] == ["--token"]
    assert not inventing.again(*failed("", 2), NONE)
    assert len(box.started) == 1
    assert held.launch.notes == ("Asked with --help how it is called.",)


@pytest.mark.parametrize("wanted", ["auto", "http"])
def test_it_is_told_to_speak_over_its_streams_only_where_that_is_wanted(wanted: str):
    inventing, plans, _, _ = begun(transport=wanted)
    seen = Seen(SessionEnd.NEVER_ANSWERED, stderr="Connect to me, or use --stdio")
    assert judge(seen).reason is StartReason.WRONG_TRANSPORT
    assert inventing.again(seen, judge(seen), NONE) is (wanted == "auto")
    assert [word for word, _ in plans.tools.given.arguments] == ["--stdio"] * (wanted == "auto")


def test_files_that_are_named_are_put_into_the_image_once():
    inventing, plans, _, box = begun()
    assert inventing.again(*failed("ACME_CONFIG_FILE is not set"), NONE)
    assert box.files == {"/srv/settings/settings.json": b"{}\n"}
    assert "/srv/settings/settings.json" in plans.tools.bait
    box.files.clear()
    assert inventing.again(*failed("ACME_KEY is not set"), NONE)
    assert box.files == {}


def test_a_value_that_was_opened_becomes_the_path_of_a_file():
    inventing, plans, held, box = begun()
    name = "ACME_OAUTH_CREDENTIALS"
    assert inventing.again(*failed(f"{name} is not set"), NONE)
    assert name in plans.tools.environment
    words = f"Please set {name}: ENOENT: no such file, open '/srv/<planted:env:{name}>'"
    assert inventing.again(*failed(words), NONE)
    assert name not in plans.tools.environment
    assert plans.tools.given.settings == (f"{name}=/srv/settings/client.json",)
    assert list(box.files) == ["/srv/settings/client.json"]
    assert [one.shown for one in held.launch.invented] == ["/srv/settings/client.json"]


def test_a_program_of_net_is_had_to_do_without_languages():
    inventing, plans, _, _ = begun()
    words = "Process terminated. Couldn't find a valid ICU package installed on the system."
    assert inventing.again(*failed(words, 134), NONE)
    assert plans.tools.given.settings == ("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1",)
    assert not inventing.again(*failed("DOTNET_STARTUP_HOOKS is not set"), NONE)


def test_a_file_is_put_where_the_server_names_it():
    inventing, plans, held, box = begun()
    assert inventing.again(*failed("Please place acme.keys.json in /home/u/.acme"), NONE)
    path = "/home/u/.acme/acme.keys.json"
    assert box.files == {path: b"{}\n"}
    assert plans.tools.given.settings == ()
    assert [one.name for one in held.launch.invented] == [path]
    assert not inventing.again(*failed("Please place acme.keys.json in /home/u/.acme"), NONE)


def test_what_is_not_taken_as_a_variable_is_given_as_the_option_of_that_name():
    said = "Options:\n  -s, --app-secret <value>   the secret\n\nCommands:\n  start   start it"
    inventing, plans, held, _ = begun(answer=said.encode())
    words = "Error: appSecret is required"
    assert inventing.again(*failed(words), NONE)
    assert [one.name for one in held.launch.invented] == ["APP_SECRET"]
    assert inventing.again(*failed(words), NONE)
    # Nor is a command taken from the help of one that names its settings.
    assert [one.name for one in held.launch.invented] == ["APP_SECRET", "--app-secret"]
    assert [shown for _, shown in plans.tools.given.arguments] == [
        "--app-secret=<planted:argument:--app-secret>"
    ]


def test_an_endless_help_is_read_to_its_bound():
    inventing, _, held, _ = begun(answer=b"--flag [required]\n" * 100_000)
    assert len(b"--flag [required]\n" * 100_000) > MAX_HELP
    inventing.again(*failed("", 2), NONE)
    assert len(held.launch.invented) <= 16


def test_an_argument_that_the_command_line_has_is_not_invented():
    help_text = b"usage: server MODE FOLDER"
    for words, names in ((), ["MODE", "FOLDER"]), (("fast",), ["FOLDER"]), (("fast", "/srv"), []):
        inventing, _, held, box = begun(answer=help_text)
        box.arguments = words
        assert inventing.again(*failed("", 3), NONE) is bool(names)
        assert [one.name for one in held.launch.invented] == names
