"""What is applied of all that is declared: never against what the image or the user says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mcp_sandbox.launch import slots
from mcp_sandbox.model import ImageFacts, LaunchFacts, Transport
from mcp_sandbox.model.launch import Decided, Declared, Needed, SettingKind, Where
from mcp_sandbox.pipeline import launching
from mcp_sandbox.settings import Settings, load

PROGRAM = ("python", "server.py")
BARE = LaunchFacts(entrypoint=PROGRAM)
COMMANDED = LaunchFacts(entrypoint=PROGRAM, command=("--stdio",))
ONLY_COMMAND = LaunchFacts(command=("python", "server.py"))


def declared(*arguments: str, named: bool = False, **changes: Any) -> Declared:
    return Declared(
        "server.json", 5, "server.json", names_image=named, arguments=arguments or None, **changes
    )


def wanted(name: str = "API_KEY", value: str = "", **changes: Any) -> Needed:
    one = Needed(name, Where.ENVIRONMENT, SettingKind.TEXT, "server.json:9", value=value)
    return replace(one, **changes)


def settings(**values: Any) -> Settings:
    return load({"image": "weather", **values})


def decided(image: LaunchFacts, *files: Declared, **values: Any) -> Decided:
    return launching.decided(settings(**values), image, files)


# --- arguments ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "named", "arguments"),
    [
        (BARE, True, ("serve",)),
        (BARE, False, ("serve",)),
        (COMMANDED, True, ("serve",)),
        (COMMANDED, False, None),
        (ONLY_COMMAND, True, (*PROGRAM, "serve")),
        (ONLY_COMMAND, False, None),
    ],
)
def test_arguments_apply_where_the_image_has_none_or_is_named(
    image: LaunchFacts, named: bool, arguments: tuple[str, ...] | None
):
    made = decided(image, declared("serve", named=named))
    assert made.arguments == arguments
    assert bool(made.applied) is (arguments is not None)
    assert bool(made.notes) is (arguments is None)
    assert launching.applied(settings(), made).args == (arguments or ())


def test_what_the_command_already_has_is_not_said_twice():
    made = decided(ONLY_COMMAND, declared("python", "server.py", "x", named=True))
    assert made.arguments == ("python", "server.py", "x")
    made = decided(ONLY_COMMAND, declared("server.py", named=True))
    assert made.arguments == PROGRAM


def test_the_users_arguments_come_first_and_it_is_told():
    made = decided(BARE, declared("serve", named=True), args=("other",))
    assert made.arguments is None
    assert made.notes == ("server.json:5: the arguments serve are not applied: others were given.",)
    assert launching.applied(settings(args=("other",)), made).args == ("other",)


def test_equal_arguments_are_not_worth_a_word():
    assert decided(COMMANDED, declared("--stdio")).notes == ()


def test_a_file_that_names_the_image_comes_before_one_that_does_not():
    made = decided(BARE, declared("desktop"), declared("container", named=True))
    assert made.arguments == ("container",)


@pytest.mark.parametrize("changes", [{"ours": False}, {"trusted": False}])
def test_what_is_about_another_server_or_a_hint_is_never_applied(changes: dict[str, bool]):
    one = declared("serve", named=True, needed=(wanted(), wanted("MODE", "x")), port=9, **changes)
    made = decided(BARE, one)
    assert (made.arguments, made.environment, made.needed, made.port) == (None, (), (), None)
    assert (made.applied, made.declared) == ((), (one,))


def test_arguments_that_wait_for_a_value_are_left_to_who_invents_it():
    folder = Needed("--data", Where.FLAG, SettingKind.FOLDER, "server.json:7")
    other = Needed("--other", Where.FLAG, SettingKind.TEXT, "server.json:8")
    one = declared("serve", "--data", "<--data>", named=True, needed=(folder, other))
    made = decided(BARE, one)
    assert made.needed == (folder,)
    assert launching.applied(settings(), made).args == ()
    assert made.arguments is not None
    assert slots.filled(made.arguments, {"--data": "/srv"}) == ("serve", "--data", "/srv")


def test_a_value_is_not_looked_at_for_slots():
    assert slots.filled(("<a>-<b>-<a>",), {"a": "<b>", "b": "2"}) == ("<b>-2-<b>",)
    assert slots.filled(("<a>", "x"), {"b": "2"}) == ("<a>", "x")


# --- settings -------------------------------------------------------------------------------------


def test_a_fixed_value_is_applied_and_what_has_none_is_needed():
    made = decided(BARE, declared(needed=(wanted(), wanted("MODE", "fast"))))
    assert made.environment == ("MODE=fast",)
    assert made.needed == (wanted(),)
    assert made.applied == ("server.json:9: MODE=fast",)
    assert launching.applied(settings(env=("A=1",)), made).env == ("MODE=fast", "A=1")


def test_what_the_user_gives_is_neither_needed_nor_changed():
    one = declared(needed=(wanted(), wanted("MODE", "fast")), named=True)
    made = decided(BARE, one, env=("API_KEY=mine", "MODE=slow"))
    assert (made.environment, made.needed) == ((), ())


def test_the_images_own_value_stands_unless_the_file_names_the_image():
    image = replace(BARE, environment=("MODE=slow", "API_KEY=x-real-one-x"))
    one = declared(needed=(wanted(), wanted("MODE", "fast")))
    assert decided(image, one).environment == ()
    assert decided(image, one).needed == ()
    named = replace(one, names_image=True)
    assert decided(image, named).environment == ("MODE=fast",)
    assert decided(image, named).needed == ()


def test_an_empty_value_or_a_placeholder_of_the_image_is_none():
    image = replace(BARE, environment=("API_KEY=", "SECRET_TOKEN=<your token>"))
    one = declared(needed=(wanted(), wanted("SECRET_TOKEN")))
    assert [each.name for each in decided(image, one).needed] == ["API_KEY", "SECRET_TOKEN"]


def test_a_default_of_an_optional_setting_is_the_programs_own_business():
    made = decided(BARE, declared(needed=(wanted("LEVEL", "info", required=False),)))
    assert (made.environment, made.needed, made.applied) == ((), (), ())


def test_of_two_files_the_first_is_believed_and_the_second_fills_up():
    first = declared(needed=(wanted("A", "1"), wanted("B")))
    second = declared(needed=(wanted("A", "2"), wanted("B", "3"), wanted("C")))
    made = decided(BARE, first, second)
    assert made.environment == ("A=1", "B=3")
    assert [one.name for one in made.needed] == ["C"]


def test_needs_are_bounded_with_a_note():
    made = decided(BARE, declared(needed=tuple(wanted(f"V_{n}") for n in range(99))))
    assert len(made.needed) == launching.MAX_NEEDED
    assert "99 settings" in made.notes[0]


# --- where it listens -----------------------------------------------------------------------------


def test_the_place_is_a_hint_and_no_transport_is_forced():
    made = decided(BARE, declared(transport=Transport.HTTP, port=8080, url_path="/x"))
    assert (made.port, made.url_path) == (8080, "/x")
    assert made.applied == ("server.json:5: port 8080, /x is tried first",)
    assert launching.applied(settings(), made).transport is Transport.AUTO


# --- from a folder --------------------------------------------------------------------------------


def test_files_are_looked_for_in_the_folder_and_placed_in_the_repository(tmp_path: Path):
    (tmp_path / ".git").mkdir()
    folder = tmp_path / "servers" / "weather"
    folder.mkdir(parents=True)
    package = {
        "registryType": "oci",
        "identifier": "acme/weather:1",
        "packageArguments": [{"type": "positional", "value": "serve"}],
    }
    (folder / "server.json").write_text(json.dumps({"packages": [package]}))
    (tmp_path / "mcp.json").write_text("not looked at")
    image = ImageFacts("weather", "sha256:00", BARE)
    made = launching.decide(load({"context": folder}), image)
    assert made.arguments == ("serve",)
    assert made.applied == ("servers/weather/server.json:1: arguments serve",)
    assert made.notes == ()
    report = launching.report(made)
    assert (report.declared, report.applied) == (made.declared, made.applied)


def test_of_an_image_only_the_labels_are_read():
    labels = {"io.docker.server.metadata": "env: [{name: WEATHER_CITY}]"}
    image = ImageFacts("weather", "sha256:00", replace(BARE, labels=labels))
    made = launching.decide(load({"image": "acme/weather"}), image)
    assert [one.name for one in made.needed] == ["WEATHER_CITY"]
