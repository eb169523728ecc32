"""Which settings a server says that it lacks: read from the text it left behind.

Two ways of telling. A *form* is how a library words it (argparse, click, commander, yargs, clap,
cobra, pydantic, zod, …) and is believed as it stands. A *sentence* is anybody's: it has to speak of
something missing and name a variable with an underscore or a long option.

The text is a peer's: bounded first, read line by line, every pattern linear in its line. Names are
checked (``kinds.may_be_set``), so that no text can make us set what steers a loader.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from mcp_sandbox.launch import blocks, fatal, placed
from mcp_sandbox.launch.kinds import is_status, kind, may_be_set
from mcp_sandbox.model.launch import Needed, SettingKind, Where

SOURCE = "its last words"
MAX_TEXT = 64 * 2**10
"""Characters: of a longer text the first and the last halves are read."""
MAX_LINES = 500
MAX_LINE = 600
"""A longer line is cut; it is code rather than a sentence."""
MAX_NEEDED = 16

_ESCAPES = re.compile(r"\x1b\[[0-9;?]{0,16}[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
_BOX = str.maketrans(dict.fromkeys("│┃║|", " "))

_ENV = r"[A-Z][A-Z0-9_]{2,63}"
_SNAKE = re.compile(r"(?<![\w.$/%-])\$?\{?([A-Z][A-Z0-9]{0,30}(?:_[A-Z0-9]{1,30}){1,8})(?![\w.(-])")
_NAMED = re.compile(
    rf"\benv(?:ironment)?[ -]?(?:variables?|vars?)[\s:'\"`(\[=]{{0,8}}({_ENV})(?![\w(])"
    rf"|['\"`]?(?<![\w.])({_ENV})['\"`]? (?:is (?:a )?required )?env(?:ironment)?[ -]?var"
)
_OPTION = re.compile(r"(?<![\w-])(--[A-Za-z][A-Za-z0-9-]{1,60})(?![\w-])")
_GO_FLAG = re.compile(r"\bflags?:? {1,2}[\"'`]?(-[a-z][a-z0-9-]{1,40})(?![\w-])", re.IGNORECASE)
_LACKS = re.compile(
    r"\b(?:missing|required?|requires|mandatory|unset|undefined|supply|expected|needs?"
    r"|not (?:set|defined|found|provided|configured|specified|present|available|given|supplied)"
    r"|must (?:be|provide|set|specify|define|have|pass|supply|contain)"
    r"|(?:is|are|was|be) (?:empty|blank|null|none|nil)|no value"
    r"|please (?:set|provide|specify|define|configure|add|export|pass|check)"
    r"|(?:set|provide|specify|define|configure|export) (?:the|an?|your|either|one|at least|it|both)"
    r"|could(?: not|n't) (?:find|read|load|resolve|get)|isn't set|(?:has|have)(?: not|n't) been set"
    r"|no (?:\w{1,20} ){1,4}(?:provided|found|specified|set|given|configured)"
    r"|set (?:[`'\"$]{1,2})?[a-z0-9]{1,30}_[a-z0-9_]{1,40}"
    r"|(?:or|please|must) pass [`'\"]?(?:--[a-z]{1,30}|\$?[a-z0-9]{1,30}_[a-z0-9_]{1,40})"
    r"|failed to (?:get|read|load|find)|did you forget|without)\b",
    re.IGNORECASE,
)
_CALM = re.compile(
    r"\b(?:optional(?:ly)?|defaults?(?: to|ing)|(?:using|use) (?:the )?defaults?"
    r"|fall(?:s|ing)? ?back|fallback|ignor(?:ed|ing)|disabled|skipp(?:ed|ing)|deprecated"
    r"|unused|successfully)\b",
    re.IGNORECASE,
)
"""Said of a setting that the server can do without."""
_READ = re.compile(
    r"(?:os\.environ\[|os\.getenv\(|environ\.get\(|process\.env\.|process\.env\[|Deno\.env\.get\("
    r"|Bun\.env\.|env::var\(|env!\(|os\.Getenv\(|System\.getenv\(|ENV\[|ENV\.fetch\("
    rf"|GetEnvironmentVariable\()[\"'`]?({_ENV})(?![\w(])"
)
"""Code that reads a variable, as a traceback shows it."""
_MAX_CODE = 300
"""Characters of a line that is believed to be one of source code."""
_HELPERS = frozenset(
    [
        *("--help", "--version", "--usage", "--env", "--env-file", "--stdio", "--node-ipc"),
        *("--socket", "--debug", "--verbose"),
    ]
)

_ALTERNATIVE = re.compile(r"^[^.;]{0,60}?(?<!and/)\bor\b", re.IGNORECASE)
"""Between two names: the second may take the first one's place."""
_QUOTED = re.compile(r"[\"'`]([A-Za-z][\w-]{0,60})[\"'`]")
_WORDS = re.compile(r"[A-Za-z][\w-]{0,60}")

# Pattern, where what it names is given, and how the names are parted.
_FORMS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, flags), how)
    for pattern, flags, how in (
        # Python
        (rf"KeyError: ['\"]({_ENV})['\"]", 0, "environment"),
        (r"the following arguments are required: (.{1,400})", 0, "argparse"),
        (r"one of the arguments (\S{1,80}) .{0,300}is required", 0, "argparse"),
        (r"Missing option ['\"`]?(-[^.'\"`]{1,120})", 0, "either"),
        (r"Missing (?:argument|parameter) ['\"`]?<?([A-Za-z][\w.-]{0,40})", 0, "positional"),
        # Node
        (r"required option ['\"`]([^'\"`]{1,120})['\"`] not specified", re.IGNORECASE, "either"),
        (r"missing required argument ['\"`<]{1,2}([\w-]{1,40})", re.IGNORECASE, "positional"),
        (r"Missing required arguments?: (.{1,300})", 0, "names"),
        (r"Missing required flag (--[\w-]{1,60})", re.IGNORECASE, "either"),
        (r"Not enough (?:non-option )?arguments:? got 0", re.IGNORECASE, "argument"),
        # Go
        (r"required flag\(s\) (.{1,300}) not set", re.IGNORECASE, "quoted"),
        (r"Required flags? \"([^\"]{1,300})\" not set", re.IGNORECASE, "names"),
        (r"missing flags: (--.{1,300})", re.IGNORECASE, "options"),
        (r"required key (\w{3,64}) missing value", 0, "environment"),
        (r"expected \"<([\w-]{1,40})>", 0, "positional"),
        # Rust
        (r"missing value for field (\w{2,60})", 0, "field"),
        # Java, .NET
        (r"Could not resolve placeholder '([\w.-]{2,80})'", 0, "field"),
        (r"Missing required (?:options?|parameters?):? (['\"`(\[<].{1,300})", 0, "picocli"),
        # Anybody
        (
            r"\b(?:[Aa]n?|[Tt]he|[Yy]our|[Nn]o|[Mm]issing) "
            r"([A-Z][A-Za-z0-9]{1,20} (?:API|api|Api|access|auth) (?:token|key|Token|Key|KEY))\b"
            r"(?= (?:is |was |must )?(?:required|missing|needed|not |found|provided|set|given))",
            0,
            "words",
        ),
        (
            r"\b(?:provide|specify|pass|supply|give|need|missing|requires?|expects?)\b.{0,20}?"
            r"\b([A-Za-z-]{3,24}(?: [A-Za-z-]{2,12}){0,2}) as (?:an?|the|its) "
            r"(?:\w{1,12} )?(?:command[- ]?line )?(?:argument|parameter)",
            re.IGNORECASE,
            "phrase",
        ),
    )
)
_ASSIGNED = re.compile(rf"^\W{{0,6}}(?:export|set|-e|--env) {{1,4}}({_ENV})=")

_CAMEL = r"[a-z][a-z0-9]{0,20}[A-Z][A-Za-z0-9]{0,30}"
_IN_CODE = re.compile(
    rf"(?<![\w.$/-])({_CAMEL}(?:(?:, ?and |, ?or |, | and | or |/){_CAMEL}){{0,7}}),? "
    r"(?:is|are) (?:required|missing|mandatory|not (?:set|provided|configured|specified|given))\b"
    rf"|\b[Mm]issing (?:required )?({_CAMEL}(?:(?:, ?and |, ?or |, | and | or ){_CAMEL}){{0,7}})$"
)
"""Settings by what the server's own code calls them: ``appId and appSecret are required``."""
_CODE_ERROR = re.compile(r"\b(?:Type|Reference|Syntax|Name|Attribute)Error\b")

_KNOWN: tuple[tuple[re.Pattern[str], tuple[str, ...], str], ...] = (
    (re.compile(r"NoRegionError|You must specify a region|Region is missing"),
     ("AWS_REGION", "AWS_DEFAULT_REGION"), ""),
    (re.compile(r"default credentials were not found|(?:load|find) (?:the )?default credentials"),
     ("GOOGLE_APPLICATION_CREDENTIALS",), ""),
    (re.compile(r"Invalid kube-config file|no configuration has been provided, try setting KUBE"
                r"|^(?:Uncaught )?Error: No active cluster!"),
     ("KUBECONFIG",), ""),
    # .NET without the library that knows languages: https://aka.ms/dotnet-missing-libicu
    (re.compile(r"Couldn't find a valid ICU package installed on the system"),
     ("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT",), "1"),
)  # fmt: skip
"""Failures of well-known libraries that name no setting -> those that they mean, and a value."""


def in_text(text: str, source: str = SOURCE) -> tuple[Needed, ...]:
    """Every setting that a text says is missing, in its order, each once, at most ``MAX_NEEDED``.

    What only a warning names counts when nothing else does.
    """
    lines = readable(text)
    found: dict[str, Needed] = {}
    warned: dict[str, Needed] = {}
    for needed in blocks.in_lines(lines, source):
        found.setdefault(needed.name, needed)
    for line in lines:
        into = warned if fatal.WARNING.search(line) else found
        for needed in _in_line(line, source):
            into.setdefault(needed.name, needed)
    if not found:
        # A variable that says where a file is goes before the file.
        files = [needed for line in lines for needed in placed.in_line(line, source)]
        found |= {one.name: one for one in files}
    return tuple(list((found or warned).values())[:MAX_NEEDED])


def readable(text: str) -> list[str]:
    """The bounded lines of a text, without escape sequences and boxes."""
    if len(text) > MAX_TEXT:
        text = text[: MAX_TEXT // 2] + "\n" + text[-MAX_TEXT // 2 :]
    lines = _ESCAPES.sub("", text.translate(_BOX)).splitlines()
    if len(lines) > MAX_LINES:
        lines = lines[: MAX_LINES // 2] + lines[-MAX_LINES // 2 :]
    return [line[:MAX_LINE].rstrip() for line in lines]


def _in_line(line: str, source: str) -> Iterator[Needed]:
    formed = False
    for pattern, how in _FORMS:
        if match := pattern.search(line):
            for needed in _read(match.group(match.lastindex or 0), how, line, source):
                formed = True
                yield needed
    for pattern, names, value in _KNOWN:
        if pattern.search(line):
            yield from (replace(variable(name, line, source), value=value) for name in names)
    if len(line) <= _MAX_CODE:
        code = [match[1] for match in _READ.finditer(line)]
        yield from _variables(code, line, source)
    if match := _ASSIGNED.search(line):
        yield from _variables([match[1]], line, source)
    if (match := _IN_CODE.search(line)) and not _CODE_ERROR.search(line):
        called = re.findall(_CAMEL, match[1] or match[2])
        yield from _variables(map(blocks.as_variable, called), line, source)
    if not formed and _LACKS.search(line) and not _CALM.search(line):
        yield from _sentence(line, source)


def _sentence(line: str, source: str) -> Iterator[Needed]:
    """Variables that a sentence names; without any, its options."""
    offered, others = _offers(line)
    names = [one for one in offered if not is_status(one)]
    names += [one for pair in _NAMED.findall(line) for one in pair if one and one not in others]
    variables = list(_variables(names, line, source))
    yield from variables
    if not variables:
        options = [*_OPTION.findall(line), *_GO_FLAG.findall(line)]
        yield from (flag(one, line, source) for one in options if one not in _HELPERS)


def _offers(line: str) -> tuple[list[str], set[str]]:
    """The names of a line, and what only stands in for one of them.

    Of alternatives (``either A or B``) the first is taken: one is all it takes.
    """
    offered: list[str] = []
    others: set[str] = set()
    end = 0
    for match in _SNAKE.finditer(line):
        if offered and _ALTERNATIVE.search(line[end : match.start()]):
            others.add(match[1])
        else:
            offered.append(match[1])
        end = match.end()
    return offered, others.difference(offered)


def _variables(names: Iterable[str], line: str, source: str) -> Iterator[Needed]:
    yield from (variable(name, line, source) for name in names if may_be_set(name))


def _read(text: str, how: str, line: str, source: str) -> Iterator[Needed]:  # noqa: C901, PLR0912
    """The settings that a form names, by how it parts them."""
    match how:
        case "environment":
            yield from _variables([text], line, source)
        case "field":
            yield from _variables([blocks.as_variable(text)], line, source)
        case "argparse":
            for word in (one.strip(" '\"`") for one in text.split(",")):
                longest = max(word.split("/"), key=len).strip()
                if longest.startswith("-"):
                    yield flag(longest, line, source)
                elif word:
                    yield positional(longest.strip("{}[]<>.") or longest, line, source, word)
        case "either":
            variables = list(_variables(_SNAKE.findall(line), line, source))
            options = [one.strip(" '\"`,").split(" ")[0] for one in re.split(r"[/,]", text)]
            options = [one for one in options if one.startswith("-")]
            yield from variables
            if options and not variables:
                yield flag(max(options, key=len).partition("=")[0], line, source)
        case "positional" | "phrase":
            yield positional(text, line, source)
        case "words":
            yield from _variables([blocks.as_variable(text.replace(" ", "-"))], line, source)
        case "argument":
            yield positional("argument", line, source)
        case "names":
            for word in _WORDS.findall(text):
                if word not in {"and", "or", "alias"}:
                    yield flag(f"--{word}", line, source)
        case "quoted":
            yield from (flag(f"--{word}", line, source) for word in _QUOTED.findall(text))
        case "options":
            yield from (flag(word, line, source) for word in _OPTION.findall(text))
        case "picocli":
            if options := _OPTION.findall(text):
                yield from (flag(word, line, source) for word in options)
            else:
                names = re.findall(r"<([\w-]{1,40})>", text)
                yield from (positional(name, line, source) for name in names)


_IS_A_FILE = re.compile(
    r"['\"`]?(?: to| as|:)? (?:be )?(?:the |a |an )?(?:full |absolute |file ?)?path (?:of|to) "
    r"(?:the |your |an? )?(?:[\w.-]{1,30} ){0,3}?(?:file|json)\b"
    r"|=['\"`]?(?:~|\.|[A-Z]:)?[/\\][^\s'\"`]{1,200}\.(?:json|ya?ml|toml|pem|p12|txt|ini)\b",
    re.IGNORECASE,
)
"""After a variable's name: its value is the path of a file."""
_IS_TRUE = re.compile(r"['\"`]?(?: ?= ?| to | as )['\"`]?(true|1|yes|on)\b(?!['\"`]? to \d)")
"""The same: it switches something on."""
_CHOICES = re.compile(r"choose from:?\s{0,4}(.{1,200})|\{([\w,-]{3,200})\}", re.IGNORECASE)


def choices(line: str) -> tuple[str, ...]:
    """The words that a line says one may choose from."""
    if match := _CHOICES.search(line):
        return tuple(re.findall(r"[A-Za-z][\w-]{0,40}", match[1] or match[2])[:12])
    return ()


def variable(name: str, about: str, source: str) -> Needed:
    """An environment variable."""
    said = about[:MAX_LINE].partition(name)[2]
    if _IS_A_FILE.match(said):
        return Needed(name, Where.ENVIRONMENT, SettingKind.FILE, source)
    if match := _IS_TRUE.match(said):
        return Needed(name, Where.ENVIRONMENT, SettingKind.BOOLEAN, source, value=match[1])
    return Needed(name, Where.ENVIRONMENT, kind(name, about), source)


def flag(name: str, about: str, source: str) -> Needed:
    """A command-line option, with its dashes."""
    return _argument(name[:64], Where.FLAG, about, source, choices(about))


def positional(name: str, about: str, source: str, choice: str = "") -> Needed:
    """A positional argument, by what it is called."""
    return _argument(name[:64], Where.POSITIONAL, about, source, choices(choice))


def _argument(name: str, where: Where, about: str, source: str, chosen: tuple[str, ...]) -> Needed:
    found = SettingKind.CHOICE if chosen else kind(name, about)
    return Needed(name, where, found, source, choices=chosen)
