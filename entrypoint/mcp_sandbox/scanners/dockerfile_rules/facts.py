"""A Dockerfile as rules see it: its stages, its commands, what it starts; and what a rule is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from mcp_sandbox.scanners import shell
from mcp_sandbox.scanners.instructions import Instruction, Stage


@dataclass(frozen=True)
class Hit:
    """One place that a rule hits."""

    line: int
    message: str
    subject: str
    """The thing, without any value; equal over runs."""
    severity: str = ""
    """Where it is not the rule's own."""


@dataclass(frozen=True)
class DockerfileRule:
    """A rule; ``check`` yields its hits."""

    id: str
    severity: str
    """``high``, ``medium`` or ``low``: the worst it gives."""
    title: str
    fix: str
    quiet_when: str
    check: Callable[[Dockerfile], Iterator[Hit]]
    cwe: tuple[int, ...] = ()


@dataclass(frozen=True)
class Dockerfile:
    """The stages of a Dockerfile, and what follows from them."""

    stages: tuple[Stage, ...]
    before: tuple[Instruction, ...] = ()
    """The arguments above the first ``FROM``."""

    @cached_property
    def chain(self) -> tuple[Stage, ...]:
        """The final stage and the stages it builds on, the base first."""
        chain = [self.stages[-1]]
        index = len(self.stages) - 1
        while index:
            base = (chain[0].base or "").lower()
            before = [at for at in range(index) if base and self.stages[at].name == base]
            if not before:
                break
            index = before[-1]
            chain.insert(0, self.stages[index])
        return tuple(chain)

    @property
    def base(self) -> str | None:
        """The image that the final stage comes from in the end."""
        return self.chain[0].base

    @cached_property
    def final(self) -> tuple[Instruction, ...]:
        """What makes the image, in order; triggers are for other images."""
        return tuple(one for stage in self.chain for one in stage.body if not one.trigger)

    @cached_property
    def all(self) -> tuple[Instruction, ...]:
        """The instructions of all stages."""
        return tuple(one for stage in self.stages for one in stage.body if not one.trigger)

    def last(self, keyword: str) -> Instruction | None:
        """The instruction of that kind that counts in the image."""
        return next((one for one in reversed(self.final) if one.keyword == keyword), None)

    @cached_property
    def start(self) -> tuple[tuple[str, ...], int]:
        """The words of the start command, and its line; empty when the base decides."""
        entry, command = self.last("ENTRYPOINT"), self.last("CMD")
        if entry and command and self.final.index(command) < self.final.index(entry):
            stage = self.stages[-1].body
            # An ENTRYPOINT takes away the CMD of the image that the stage builds on.
            command = command if command in stage else None
        if entry and entry.argv is None:
            return _argv(entry), entry.line
        line = next((one.line for one in (entry, command) if one), 0)
        return (*_argv(entry), *_argv(command)), line

    @cached_property
    def runs(self) -> tuple[tuple[Instruction, tuple[shell.Pipeline, ...]], ...]:
        """Every ``RUN`` of every stage with its pipelines."""
        return tuple((one, pipelines(one)) for one in self.all if one.keyword == "RUN")

    def calls(self, *, final: bool = False) -> Iterator[tuple[Instruction, str, tuple[str, ...]]]:
        """Instruction, program and arguments of every command, or of those that make the image."""
        lines = {one.line for one in self.final} if final else set()
        for one, several in self.runs:
            if final and one.line not in lines:
                continue
            for pipeline in several:
                for command in pipeline.commands:
                    yield one, *shell.call(command.words)


def _argv(one: Instruction | None) -> tuple[str, ...]:
    """What the kernel is given: the shell form is a shell's."""
    if one is None:
        return ()
    return ("/bin/sh", "-c", one.text) if one.argv is None else one.argv


def pipelines(one: Instruction) -> tuple[shell.Pipeline, ...]:
    """All pipelines of a ``RUN``, here-documents that are scripts included."""
    if one.argv is not None:
        return tuple(shell.everything([shell.Pipeline((shell.Command(one.argv),))]))
    found = shell.parse(one.text)
    programs = {command.program() for line in found for command in line.commands}
    if one.heredocs and programs <= shell.SHELLS | {""}:
        for heredoc in one.heredocs:
            if not heredoc.text.startswith("#!") or re.match(r"#!\S*/\w*sh\b", heredoc.text):
                found += shell.parse(heredoc.text)
    return tuple(shell.everything(found))
