"""What a report says of how the server was started: short, and nothing where nothing is to say."""

from __future__ import annotations

from dataclasses import replace

from mcp_sandbox.model import Observations
from mcp_sandbox.model.launch import (
    Danger,
    DangerKind,
    Declared,
    Invented,
    LaunchReport,
    SettingKind,
    Where,
)
from mcp_sandbox.report import started
from support.observed import observed, session


def of(launch: LaunchReport, *line: str) -> Observations:
    made = observed(session(container={"command_line": ("docker", "run", "sha256:00", *line)}))
    return replace(made, launch=launch)


def danger(option: str, kind: DangerKind = DangerKind.NETWORK) -> Danger:
    return Danger(option, "it is so", "README.md", 40, kind)


def declared(*dangers: Danger) -> Declared:
    return Declared("README.md", 38, "README", dangers=dangers)


def test_where_only_the_image_spoke_nothing_is_said():
    assert started.told(of(LaunchReport())) == ()
    assert started.told(of(LaunchReport(declared=(declared(),)))) == ()
    unpinned = declared(danger("npx thing", DangerKind.UNPINNED))
    assert started.told(of(LaunchReport(declared=(unpinned,)))) == ()


def test_what_was_applied_made_up_and_not_applied():
    launch = LaunchReport(
        declared=(declared(danger("--network host"), danger("--network host")),),
        applied=("server.json:12: arguments serve --units metric",),
        invented=(
            Invented("API_KEY", Where.ENVIRONMENT, SettingKind.SECRET, "server.json:9"),
            Invented("REGION", Where.ENVIRONMENT, SettingKind.NAME, "its last words", "eu"),
        ),
        restarts=2,
    )
    assert started.told(of(launch, "serve", "--units", "metric")) == (
        "started as python server.py serve --units metric",
        "told by files: server.json:12: arguments serve --units metric",
        "made up for it: API_KEY (server.json:9); REGION=eu (its last words)",
        "started again 2 times to find out what it needs",
        "not applied: --network host (README.md:40)",
    )


def test_a_server_without_arguments_has_the_images_command():
    made = of(LaunchReport(restarts=1))
    image = replace(made.image, launch=replace(made.image.launch, command=("--stdio",)))
    assert started.told(replace(made, image=image))[0] == "started as python server.py --stdio"


def test_long_lists_are_counted():
    launch = LaunchReport(applied=tuple(f"a.json:{n}: X" for n in range(9)))
    assert started.told(of(launch))[1].endswith("a.json:3: X; 5 more in the report")
    assert len(started.told(of(launch, "x" * 500))[0]) < 220
