"""Where a server was taken from, as a reader is told of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mcp_sandbox.model import BuildFacts, Observations, SourceFacts
from mcp_sandbox.report import markdown, taken
from mcp_sandbox.report.lines import answer
from mcp_sandbox.report.spans import plain
from unit.report_samples import sample_report

LOCKED = SourceFacts(
    asked="pypi:a==1",
    resolved="a 1",
    lock="ab" * 32,
    packages=("a==1", "b==2"),
    command=("/venv/bin/a", "two words"),
    why="its only command",
    notes=("withdrawn by <b>who</b> published it: a 1",),
)


def observed(build: BuildFacts | None) -> Observations:
    seen = sample_report().observations
    assert seen is not None
    return replace(seen, image=replace(seen.image, build=build))


def test_nothing_is_told_of_an_image_and_of_a_folder():
    assert taken.told(None) == ()
    assert taken.told(observed(None)) == ()
    assert taken.told(observed(BuildFacts("Dockerfile", 1, 1))) == ()


def test_a_package_is_told_with_its_lock_and_its_command():
    told = taken.told(observed(BuildFacts("Dockerfile", 1, 1, source=LOCKED)))
    assert told == (
        "taken from pypi:a==1, which is a 1",
        "installed: 2 packages by a lock with hashes, sha256 abababababababab",
        "runs /venv/bin/a 'two words': its only command",
        "withdrawn by <b>who</b> published it: a 1",
    )


def test_scripts_that_ran_are_told():
    ran = replace(LOCKED, scripts=True)
    told = taken.told(observed(BuildFacts("Dockerfile", 1, 1, source=ran)))
    assert "packages could run scripts while they were installed" in told


@pytest.mark.parametrize(
    ("build", "command"),
    [
        (None, ""),
        (BuildFacts("sub/D", 1, 1, network="none"), "--file sub/D --network none ."),
        (
            BuildFacts("Dockerfile", 1, 1, source=LOCKED, packed="evidence/build.tar"),
            "--file Dockerfile --network default - <evidence/build.tar",
        ),
        (BuildFacts("Dockerfile", 1, 1, source=LOCKED), ""),
        (
            BuildFacts("D", 1, 1, source=SourceFacts("https://h.example/r@v1", "c" * 40)),
            f"--file D --network default 'https://h.example/r#{'c' * 40}'",
        ),
    ],
)
def test_the_image_is_built_again_from_what_it_was_built_from(
    build: BuildFacts | None, command: str
):
    said = taken.build_command(observed(build))
    start = "docker buildx build --load --tag mcp-server-under-test "
    assert said == (start + command if command else "")


def test_summary_and_terminal_tell_it_too():
    seen = observed(BuildFacts("Dockerfile", 1, 1, source=LOCKED, packed="evidence/build.tar"))
    report = replace(sample_report(), observations=seen)
    summary = markdown.render(report, ())
    assert "Where it is from" in summary
    assert "`withdrawn by <b>who</b> published it: a 1`" in summary
    assert any("taken from pypi:a==1" in plain(spans) for spans in answer(report))
