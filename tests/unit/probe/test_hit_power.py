"""Each family against little functions with a real hole, and against their mended twins.

A hole must be proven by at least one payload that a tool of that look gets, and its twin by none.
Everything runs for real: a shell, SQLite, the file system, Python's and Node's evaluators.
"""

from __future__ import annotations

import ast
import contextlib
import json
import os
import posixpath
import re
import shlex
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote
from urllib.request import DataHandler, FileHandler, OpenerDirector

import jinja2
import pytest
import yaml

from mcp_sandbox.probe.inputs import Input, Targets, for_template, for_tool

SECRET = "canary-4f1c9d"
"""What the planted file and the password file hold here; the payloads do not."""

Function = Callable[[str], str]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The holes are real: what they write must not land in the checkout."""
    monkeypatch.chdir(tmp_path)


class Place:
    """A little world below one folder: what is allowed, what is planted, and a scratch folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.allowed = root / "srv" / "allow"
        self.scratch = root / "scratch"
        self.planted = root / "opt" / "backup" / "service-token.txt"
        self.passwd = root / "etc" / "passwd"
        self.neighbour = root / "srv" / "allow-evil" / "service-token.txt"
        for path in (self.allowed / "reports", self.scratch):
            path.mkdir(parents=True)
        for path in (self.planted, self.passwd, self.neighbour):
            path.parent.mkdir(parents=True)
            path.write_text(SECRET)
        (self.allowed / "notes.txt").write_text("ordinary")

    def targets(self, *, told: bool = False) -> Targets:
        return Targets(
            seed=11,
            planted_file=str(self.planted),
            passwd=str(self.passwd),
            directories=(str(self.allowed),) if told else (),
            neighbour=str(self.neighbour) if told else "",
        )

    def here(self, text: str) -> str:
        """The same text with the scratch folder for the container's temporary folder."""
        scratch = str(self.scratch).lstrip("/")
        return re.sub(r"(?:tmp|dev/shm)/(?=[a-z][a-z0-9]{11}(?![a-z0-9-]))", f"{scratch}/", text)

    def proves(self, one: Input, reply: str) -> bool:
        effect = bool(one.effect) and Path(self.here(one.effect)).exists()
        return effect or SECRET in reply or (bool(one.expected) and one.expected in reply)


def attack(
    function: Function, place: Place, *, parameter: str, about: str = "", told: bool = False
) -> list[Input]:
    """Everything that a tool with one parameter gets, and which of it proved something."""
    tool = {
        "name": "tool",
        "description": about,
        "inputSchema": {"properties": {parameter: {"type": "string"}}, "required": [parameter]},
    }
    proven = []
    for one in for_tool(tool, place.targets(told=told)).hostile:
        value = one.arguments.get(parameter)
        if not isinstance(value, str) or len(value) > 10_000:
            continue
        with contextlib.suppress(Exception):
            if place.proves(one, function(place.here(value))):
                proven.append(one)
    return proven


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def families_of(proven: list[Input]) -> set[str]:
    return {one.family for one in proven}


# --- the shell ------------------------------------------------------------------------------------


def sh(command: str) -> str:
    done = subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, timeout=10, check=False, text=True
    )
    return done.stdout + done.stderr


def silent(command: str) -> str:
    sh(command)
    return "done"


def without(characters: str) -> Callable[[str], str]:
    return lambda text: "".join(char for char in text if char not in characters)


SHELLS: dict[str, Function] = {
    "unquoted": lambda x: sh(f"echo hello {x}"),
    "single quotes": lambda x: sh(f"echo 'hello {x}'"),
    "double quotes": lambda x: sh(f'echo "hello {x}"'),
    "something after it": lambda x: sh(f"echo {x} --flag other.txt"),
    "single quotes, something after it": lambda x: sh(f"grep '{x}' /etc/hostname | head -1"),
    "double quotes, something after it": lambda x: sh(f'grep "{x}" /etc/hostname | head -1'),
    "an error message": lambda x: sh(f"cat /nonexistent/{x}"),
    "silent, unquoted": lambda x: silent(f"true {x} > /dev/null"),
    "silent, single quotes": lambda x: silent(f"true '{x}' > /dev/null"),
    "silent, double quotes": lambda x: silent(f'true "{x}" > /dev/null'),
    "no semicolon, ampersand or pipe": lambda x: sh(f"echo {without(';&|')(x)}"),
    "no dollar sign": lambda x: sh(f"echo {without('$')(x)}"),
    "no dollar sign or backtick, double quotes": lambda x: sh(f'echo "{without("$`")(x)}"'),
    "no spaces": lambda x: sh(f"echo {without(' ')(x)}"),
    "first word only": lambda x: sh(f"echo {x.split(' ')[0]}"),
    "must begin like a host": lambda x: sh(f"echo {x}") if x.startswith("example.com") else "no",
    "single quotes, no separators": lambda x: sh(f"echo '{without(';&|#')(x)}' end"),
}  # fmt: skip


@pytest.mark.parametrize("context", SHELLS)
def test_a_shell_is_proven(place: Place, context: str) -> None:
    proven = attack(SHELLS[context], place, parameter="host")
    assert "command-injection" in families_of(proven)


@pytest.mark.parametrize(
    "context", ["unquoted", "single quotes", "double quotes", "something after it"]
)
def test_a_shell_is_proven_behind_a_parameter_that_looks_like_nothing(
    place: Place, context: str
) -> None:
    assert "command-injection" in families_of(attack(SHELLS[context], place, parameter="fileKey"))
    assert "command-injection" in families_of(attack(SHELLS[context], place, parameter="x"))


def sorted_with(*arguments: str) -> str:
    done = subprocess.run(["sort", *arguments], input=b"", capture_output=True, check=False)
    return (done.stdout + done.stderr).decode()


def test_an_option_is_proven_without_a_shell(place: Place) -> None:
    def sort(x: str) -> str:
        done = subprocess.run(
            ["sort", x], stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        return done.stdout.decode()

    def mended(x: str) -> str:
        done = subprocess.run(
            ["sort", "--", x], stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        return done.stderr.decode()

    assert "command-injection" in families_of(attack(sort, place, parameter="target"))
    for left in place.scratch.iterdir():
        left.unlink()
    proven = attack(mended, place, parameter="target")
    assert "command-injection" not in families_of(proven)


@pytest.mark.parametrize(
    "mended",
    [
        lambda x: sh(f"echo {shlex.quote(x)}"),
        lambda x: subprocess.run(["echo", x], capture_output=True, check=False).stdout.decode(),
    ],
)
def test_a_quoted_argument_proves_nothing(place: Place, mended: Function) -> None:
    assert attack(mended, place, parameter="host") == []


# --- SQL ------------------------------------------------------------------------------------------


def rows(statement: str, parameters: tuple[object, ...] = ()) -> str:
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.executescript(
            "CREATE TABLE t(c1, c2, c3, c4, c5); INSERT INTO t VALUES ('a', 'b', 'c', 'd', 5);"
        )
        return repr(database.execute(statement, parameters).fetchall())


COLUMNS = [", ".join(f"c{number}" for number in range(1, count + 1)) for count in range(1, 6)]


@pytest.mark.parametrize("columns", COLUMNS)
@pytest.mark.parametrize(
    ("context", "parameter"),
    [
        ("SELECT {c} FROM t WHERE c1 = '{x}'", "query"),
        ("SELECT {c} FROM t WHERE c1 = '{x}'", "x"),
        ("SELECT {c} FROM t WHERE c1 LIKE '%{x}%' ORDER BY c1 LIMIT 3", "search"),
        ("SELECT {c} FROM t WHERE c5 = {x}", "id"),
        ("SELECT {c} FROM t WHERE c5 = {x} LIMIT 10", "query"),
    ],
)
def test_a_statement_is_proven(place: Place, context: str, columns: str, parameter: str) -> None:
    proven = attack(lambda x: rows(context.format(c=columns, x=x)), place, parameter=parameter)
    assert any(one.family == "sql-injection" and one.expected for one in proven)


@pytest.mark.parametrize("columns", COLUMNS[:3])
@pytest.mark.parametrize(
    "context",
    [
        "SELECT {c} FROM t WHERE lower(c1) = lower('{x}')",
        "SELECT {c} FROM t WHERE (c1 = '{x}' AND c2 = 'b')",
        'SELECT {c} FROM t WHERE c1 = "{x}"',
    ],
)
def test_a_statement_with_brackets_or_double_quotes_is_proven(
    place: Place, context: str, columns: str
) -> None:
    proven = attack(lambda x: rows(context.format(c=columns, x=x)), place, parameter="query")
    assert any(one.family == "sql-injection" and one.expected for one in proven)


def test_a_number_is_proven(place: Place) -> None:
    schema = {"properties": {"id": {"type": "integer"}}, "required": ["id"]}
    tool = for_tool({"name": "get", "inputSchema": schema}, place.targets())
    proven = []
    for one in tool.hostile:
        with contextlib.suppress(Exception):
            reply = rows(f"SELECT c1, c2 FROM t WHERE c5 = {one.arguments['id']}")
            if place.proves(one, reply):
                proven.append(one.payload)
    assert "numeric-union-2" in proven


def test_a_stored_value_is_proven(place: Place) -> None:
    def store(x: str) -> str:
        with contextlib.closing(sqlite3.connect(":memory:")) as database:
            database.execute("CREATE TABLE notes(a)")
            database.execute(f"INSERT INTO notes VALUES ('{x}')")
            return repr(database.execute("SELECT a FROM notes").fetchall())

    assert "sql-injection" in families_of(attack(store, place, parameter="note"))


def test_several_statements_are_proven(place: Place) -> None:
    def script(x: str) -> str:
        with contextlib.closing(sqlite3.connect(":memory:")) as database:
            database.executescript(f"CREATE TABLE t(a); INSERT INTO t VALUES ('{x}')")
        return "done"

    def stacked(x: str) -> str:
        with contextlib.closing(sqlite3.connect(":memory:")) as database:
            database.executescript(f"CREATE TABLE t(a); SELECT * FROM t WHERE a = '{x}'")
        return "done"

    assert "sql-injection" in families_of(attack(stacked, place, parameter="query"))
    assert script("plain") == "done"


def test_the_pair_differs_in_truth_alone(place: Place) -> None:
    tool = {"name": "t", "inputSchema": {"properties": {"query": {"type": "string"}}}}
    sent = {
        one.payload: one.arguments["query"]
        for one in for_tool(tool, place.targets()).hostile
        if one.family == "sql-injection"
    }
    for name in ("boolean", "numeric-boolean"):
        true, false = sent[f"{name}-true"], sent[f"{name}-false"]
        assert true.replace("1=1", "1=2") == false
    like = "SELECT c1 FROM t WHERE c1 LIKE '%{}%'"
    assert rows(like.format(sent["boolean-true"])) != rows(like.format(sent["boolean-false"]))
    number = "SELECT c1 FROM t WHERE c5 = {}"
    true, false = sent["numeric-boolean-true"], sent["numeric-boolean-false"]
    assert rows(number.format(true)) != rows(number.format(false))


@pytest.mark.parametrize(
    "mended",
    [
        lambda x: rows("SELECT * FROM t WHERE c1 = ?", (x,)),
        lambda x: rows("SELECT * FROM t WHERE c1 LIKE '%' || ? || '%'", (x,)),
        lambda x: rows("SELECT * FROM t WHERE c5 = ?", (int(x),)),
        lambda x: rows(f"SELECT '{x.replace(chr(39), chr(39) * 2)}'"),
    ],
)
@pytest.mark.parametrize("parameter", ["query", "id"])
def test_a_bound_value_proves_nothing(place: Place, mended: Function, parameter: str) -> None:
    assert attack(mended, place, parameter=parameter) == []


# --- files ----------------------------------------------------------------------------------------


def reader(base: Path, how: Callable[[str, str], str]) -> Function:
    return lambda x: Path(how(str(base), x)).read_text()


def checked_prefix(base: str, x: str) -> str:
    path = posixpath.normpath(posixpath.join(base, x))
    if not path.startswith(base):
        raise PermissionError
    return path


def without_dots(base: str, x: str) -> str:
    if ".." in x:
        raise PermissionError
    return posixpath.join(base, x)


READS: dict[str, Callable[[str, str], str]] = {
    "joined": posixpath.join,
    "concatenated": lambda base, x: f"{base}/{x}",
    "joined, leading slashes stripped": lambda base, x: posixpath.join(base, x.lstrip("/")),
    "an extension is added": lambda base, x: f"{base}/{x}.txt",
    "an extension is demanded": lambda base, x: f"{base}/{x}" if x.endswith(".txt") else base,
    "a prefix, then normalised": lambda base, x: posixpath.normpath(f"{base}/report_{x}"),
    "dots deleted once": lambda base, x: posixpath.join(base, x.replace("../", "").lstrip("/")),
    "dots forbidden": without_dots,
    "decoded after the check": lambda base, x: unquote(without_dots(base, x)),
    "the usual file forbidden": lambda base, x: "" if "passwd" in x else f"{base}/{x}",
    "a file URL": lambda base, x: x.removeprefix("file://"),
}


@pytest.mark.parametrize("context", READS)
@pytest.mark.parametrize("parameter", ["path", "filename", "x"])
def test_reading_is_proven(place: Place, context: str, parameter: str) -> None:
    proven = attack(reader(place.allowed, READS[context]), place, parameter=parameter)
    assert "path-traversal" in families_of(proven)


def test_a_prefix_check_without_a_separator_is_proven(place: Place) -> None:
    proven = attack(reader(place.allowed, checked_prefix), place, parameter="path", told=True)
    assert "neighbour" in {one.payload for one in proven}


def test_a_check_before_normalising_is_proven(place: Place) -> None:
    def begins(base: str, x: str) -> str:
        if not x.startswith(base):
            raise PermissionError
        return posixpath.normpath(x)

    proven = attack(reader(place.allowed, begins), place, parameter="path", told=True)
    assert "inside-then-up" in {one.payload for one in proven}


WRITES: dict[str, Callable[[Path, str], object]] = {
    "a file": lambda base, x: (base / x).write_text("x"),
    "a folder": lambda base, x: (base / x).mkdir(),
    "a file with an extension": lambda base, x: Path(f"{base}/{x}.json").write_text("x"),
}


@pytest.mark.parametrize("context", ["a file", "a folder"])
@pytest.mark.parametrize("parameter", ["path", "filename"])
def test_writing_is_proven(place: Place, context: str, parameter: str) -> None:
    def write(x: str) -> str:
        WRITES[context](place.allowed, x)
        return "done"

    proven = attack(write, place, parameter=parameter)
    assert any(one.family == "path-traversal" and one.effect for one in proven)


def test_a_repository_anywhere_is_proven(place: Place) -> None:
    def git_init(x: str) -> str:
        (Path(x) / ".git").mkdir(parents=True)
        return "done"

    proven = attack(git_init, place, parameter="repo_path")
    assert any(one.family == "path-traversal" and one.effect for one in proven)


def contained(base: Path, x: str) -> Path:
    path = Path(os.path.realpath(base / x))
    if not path.is_relative_to(os.path.realpath(base)):
        raise PermissionError(f"{x} is outside of what is allowed")
    return path


@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize("parameter", ["path", "filename", "directory"])
def test_a_contained_path_proves_nothing(place: Place, told: bool, parameter: str) -> None:
    def read(x: str) -> str:
        return contained(place.allowed, x).read_text()

    def write(x: str) -> str:
        path = contained(place.allowed, x)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(x)
        return f"wrote {x}"

    assert attack(read, place, parameter=parameter, told=told) == []
    assert attack(write, place, parameter=parameter, told=told) == []


def test_a_resource_template_is_proven_escaped_and_raw(place: Place) -> None:
    item = {"uriTemplate": "notes://{name}", "name": "note"}
    proven = set()
    for one in for_template(item, place.targets()).hostile:
        name = place.here(one.arguments["uri"]).removeprefix("notes://")
        for kind, text in (("decoded", unquote(name)), ("as it is", name)):
            with contextlib.suppress(Exception):
                if SECRET in (place.allowed / text).read_text():
                    proven.add((kind, one.payload.endswith("-raw")))
    assert proven >= {("decoded", False), ("as it is", True)}


# --- evaluators -----------------------------------------------------------------------------------


def run_exec(x: str) -> str:
    exec(x, {})
    return "done"


EVALUATORS: dict[str, Function] = {
    "eval": lambda x: str(eval(x)),
    "eval without builtins": lambda x: str(eval(x, {"__builtins__": {}})),
    "exec": run_exec,
    "inside single quotes": lambda x: str(eval(f"'{x}'.strip()")),
    "inside double quotes": lambda x: str(eval(f'"{x}".strip()')),
    "yaml with objects": lambda x: str(yaml.unsafe_load(x)),
}


@pytest.mark.parametrize("context", EVALUATORS)
@pytest.mark.parametrize("parameter", ["expression", "config"])
def test_an_evaluator_is_proven(place: Place, context: str, parameter: str) -> None:
    if (context, parameter) == ("eval without builtins", "config"):
        pytest.skip("only sent where the parameter looks like code")
    proven = attack(EVALUATORS[context], place, parameter=parameter)
    assert "code-evaluation" in families_of(proven)


def test_an_evaluator_is_proven_behind_a_parameter_that_looks_like_nothing(place: Place) -> None:
    for context in ("eval", "exec", "inside single quotes", "inside double quotes"):
        proven = attack(EVALUATORS[context], place, parameter="x")
        assert "code-evaluation" in families_of(proven), context


def node(script: str, argument: str, *flags: str) -> str:
    done = subprocess.run(
        ["node", *flags, "-e", script, argument],
        capture_output=True, check=False, text=True, timeout=20,
    )  # fmt: skip
    return done.stdout


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
@pytest.mark.parametrize(
    ("script", "flags"),
    [
        ("console.log(String(eval(process.argv[1])))", ()),
        ("console.log((0,eval)(process.argv[1]))", ("--input-type=module",)),
        ("console.log(eval(`'${process.argv[1]}'.trim()`))", ()),
        ("console.log(eval('\"' + process.argv[1] + '\".trim()'))", ()),
        ("console.log(require('vm').runInNewContext(process.argv[1]))", ()),
    ],
)
def test_an_evaluator_of_javascript_is_proven(
    place: Place, script: str, flags: tuple[str, ...]
) -> None:
    sent = [
        one
        for one in for_tool(
            {"name": "t", "inputSchema": {"properties": {"code": {"type": "string"}}}},
            place.targets(),
        ).hostile
        if one.family == "code-evaluation"
    ]
    replies = [(one, node(script, place.here(one.arguments["code"]), *flags)) for one in sent]
    proven = {one.payload for one, reply in replies if place.proves(one, reply)}
    assert proven - {"plain-product"}


@pytest.mark.parametrize(
    "mended",
    [
        lambda x: str(ast.literal_eval(x)),
        lambda x: str(yaml.safe_load(x)),
        lambda x: str(json.loads(x)),
    ],
)
def test_a_reader_of_literals_proves_nothing(place: Place, mended: Function) -> None:
    for parameter in ("expression", "config", "x"):
        assert attack(mended, place, parameter=parameter) == []


def calculate(x: str) -> str:
    """A calculator by design: numbers and four operators, nothing else."""

    def value(one: ast.expr) -> float:
        if isinstance(one, ast.BinOp) and isinstance(one.op, ast.Mult):
            return value(one.left) * value(one.right)
        if isinstance(one, ast.Constant) and isinstance(one.value, int | float):
            return one.value
        raise ValueError(x)

    return str(value(ast.parse(x, mode="eval").body))


def test_a_calculator_is_touched_by_the_plain_product_alone(place: Place) -> None:
    proven = attack(calculate, place, parameter="expression")
    assert {(one.family, one.payload) for one in proven} == {("code-evaluation", "plain-product")}


# --- templates, fetchers, models ------------------------------------------------------------------


@pytest.mark.parametrize("parameter", ["template", "text", "x"])
def test_a_template_is_proven(place: Place, parameter: str) -> None:
    def render(x: str) -> str:
        return jinja2.Template(f"Dear {x}!").render()

    proven = attack(render, place, parameter=parameter)
    assert "template-injection" in families_of(proven)


def test_a_formatted_string_that_is_evaluated_is_proven(place: Place) -> None:
    proven = attack(lambda x: str(eval(f"f'''{x}'''")), place, parameter="template")
    assert "template-injection" in families_of(proven)


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_a_template_literal_is_proven(place: Place) -> None:
    script = "console.log(eval('`Dear ' + process.argv[1] + '`'))"
    proven = attack(lambda x: node(script, x) if "${" in x else "", place, parameter="template")
    assert "template-injection" in families_of(proven)


@pytest.mark.parametrize(
    "mended",
    [
        lambda x: jinja2.Template("Dear {{ name }}!").render(name=x),
        lambda x: f"Dear {x}!",
        "Dear {}!".format,
    ],
)
def test_a_filled_in_template_proves_nothing(place: Place, mended: Function) -> None:
    for parameter in ("template", "text", "x"):
        assert attack(mended, place, parameter=parameter) == []


def fetch(x: str) -> str:
    """A fetcher without a network: files and data only."""
    opener = OpenerDirector()
    for handler in (FileHandler(), DataHandler()):
        opener.add_handler(handler)
    with contextlib.closing(opener.open(x)) as reply:
        return reply.read().decode()


@pytest.mark.parametrize("parameter", ["url", "x"])
def test_a_fetcher_of_any_scheme_is_proven(place: Place, parameter: str) -> None:
    proven = {one.payload for one in attack(fetch, place, parameter=parameter)}
    assert proven >= {"file-planted", "data-url"}


def test_a_fetcher_of_the_web_alone_proves_nothing(place: Place) -> None:
    def web(x: str) -> str:
        if not x.startswith(("http://", "https://")):
            raise ValueError(f"unsupported scheme in {x}")
        return f"could not reach {x}"

    assert attack(web, place, parameter="url") == []


def test_a_model_that_obeys_the_callers_text_is_proven(place: Place) -> None:
    def obey(x: str) -> str:
        asked = re.search(r"product of (\d+) and (\d+)", x)
        return str(int(asked[1]) * int(asked[2])) if asked else "Hello"

    assert "prompt-injection" in families_of(attack(obey, place, parameter="text"))


# --- echoes ---------------------------------------------------------------------------------------

ECHOES: list[Function] = [
    lambda x: x,
    lambda x: f"no such thing: {x!r}",
    lambda x: json.dumps({"error": x}),
    lambda x: x.upper(),
    lambda x: x[::-1],
    lambda x: unquote(unquote(x)),
    lambda x: x.replace("\\", "").replace("'", "").replace('"', ""),
    lambda x: re.sub(r"[^0-9]", "", x),
    lambda x: " ".join(re.findall(r"[0-9]+", x)),
    lambda x: str(len(x)),
]


@pytest.mark.parametrize("echo", ECHOES)
@pytest.mark.parametrize("parameter", ["path", "url", "query", "code", "template", "host", "x"])
def test_an_echo_proves_nothing(place: Place, echo: Function, parameter: str) -> None:
    assert attack(echo, place, parameter=parameter, told=True) == []
