"""A list of servers: what may stand in it, and each error with its line."""

from __future__ import annotations

import json
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_sandbox.action import inputs
from mcp_sandbox.errors import BadInput
from mcp_sandbox.merging import lists, matrix, toml_lines
from mcp_sandbox.merging.lists import NAME
from mcp_sandbox.model.fleet import Entry, SourceKind
from mcp_sandbox.settings import Settings

FULL = b"""
# A list.
[defaults]
memory = "128m"
fail_on = ["critical", "high"]

[[server]]
name = "weather"
image = "ghcr.io/org/weather@sha256:0000"
args = ["--stdio", "two words", "$(id) `id` ${{ secrets.X }}"]
env = ["MODE=test", "EMPTY="]
memory = "512m"
cpus = 1.5
pids = 64
allow = ["a.example:443"]

[[server]]
context = "servers/files"
dockerfile = "docker/Dockerfile"
baseline = "locks/files.json"

[[server]]
source = "pypi:Some_Server==1.2.3"
[[server]]
source = "npm:@org/server@1.0.0"
[[server]]
source = "https://git.example/org/repo.git@v1.2"
"""


def read(text: str | bytes) -> tuple[Entry, ...]:
    return lists.read(text if isinstance(text, bytes) else text.encode(), "servers.toml")


def test_what_a_list_comes_to():
    weather, files, *sources = read(FULL)
    assert (weather.name, weather.kind, weather.line) == ("weather", SourceKind.IMAGE, 7)
    assert weather.inputs == {
        "memory": "512m",
        "fail-on": "critical\nhigh",
        "args": "--stdio\ntwo words\n$(id) `id` ${{ secrets.X }}",
        "env": "MODE=test\nEMPTY=",
        "cpus": "1.5",
        "pids": "64",
        "allow": "a.example:443",
    }
    assert (files.name, files.kind, files.source) == ("files", SourceKind.CONTEXT, "servers/files")
    assert (files.inputs["memory"], files.inputs["baseline"]) == ("128m", "locks/files.json")
    assert [one.name for one in sources] == ["some_server", "server", "repo"]
    assert {one.kind for one in sources} == {SourceKind.SOURCE}


@pytest.mark.parametrize(
    ("text", "line", "named"),
    [
        ("", 1, "0 servers"),
        ("server = 3", 1, "[[server]]"),
        ("defaults = 3\n[[server]]\nimage = 'x'", 1, "no table"),
        ("[[servers]]\nimage = 'x'", 1, "did you mean `server`?"),
        ("[[server]]\nimage = 'x'\nmemroy = '1g'", 3, "did you mean `memory`?"),
        ("[[server]]\nimgae = 'x'", 2, "did you mean `image`?"),
        ("[defaults]\nname = 'x'\n[[server]]\nimage = 'x'", 2, "no key `name`"),
        ("[[server]]\nname = 'a'", 1, "image, context, source"),
        ("[[server]]\nimage = 'x'\ncontext = 'y'", 1, "one of"),
        ("[[server]]\nimage = 3", 2, "no string"),
        ("[[server]]\nimage = '-x'", 2, "no image reference"),
        ("[[server]]\nimage = 'a b'", 2, "no image reference"),
        ("[[server]]\nimage = 'x; id'", 2, "no image reference"),
        ("[[server]]\ncontext = '../x'", 2, "no path inside"),
        ("[[server]]\ncontext = '/x'", 2, "no path inside"),
        ("[[server]]\ncontext = ''", 2, "no path inside"),
        ("[[server]]\nimage = 'x'\nbaseline = 'a/../../b'", 3, "no path inside"),
        ("[[server]]\nsource = 'pypi:x'", 2, "pypi:NAME==VERSION"),
        ("[[server]]\nsource = 'npm:x@latest'", 2, "npm:NAME@VERSION"),
        ("[[server]]\nsource = 'mcpb:../x.mcpb'", 2, "no path inside the repository"),
        ("[[server]]\nsource = 'pypi:x==1'\ndockerfile = 'D'", 3, "goes with a folder"),
        ("[[server]]\nsource = 'pypi:x==1'\ninstall-scripts = true", 3, "goes with npm:"),
        ("[[server]]\nimage = 'npm:5'\nconstraint = 'mcp<2'", 3, "goes with pypi:"),
        ("[[server]]\nsource = 'git@x:y'", 2, "https://HOST/PATH@REF"),
        ("[[server]]\nsource = 'https://u:p@x.example/y@v1'", 2, "is none of"),
        ("[[server]]\nsource = 'https://x.example/y@--upload-pack=x'", 2, "is none of"),
        ("[[server]]\nimage = 'x'\nname = 'a/b'", 3, "no name"),
        ("[[server]]\nimage = 'x'\nname = 'A'", 3, "no name"),
        ("[[server]]\nimage = 'x'\nname = '..'", 3, "no name"),
        ('[[server]]\nimage = "x"\nname = "a\\n"', 3, "no name"),
        ("[[server]]\nimage = 'x'\nname = 4", 3, "no name"),
        ("[[server]]\nimage = 'a/x:1'\n[[server]]\nimage = 'b/x:2'", 3, "on line 1"),
        ("[[server]]\nimage = 'x'\n\nmemory = '1q'", 4, "--memory"),
        ("[defaults]\nmemory = '1q'\n[[server]]\nimage = 'x'", 2, "--memory"),
        ("[[server]]\nimage = 'x'\nfail_on = 'everything'", 3, "--fail-on"),
        ("[[server]]\nimage = 'x'\ndockerfile = 'D'", 3, "--dockerfile"),
        ("[[server]]\nimage = 'x'\nenv = ['1A=x']", 3, "NAME=VALUE"),
        ("[[server]]\nimage = 'x'\nallow = ['*']", 1, "wildcards"),
        ('[[server]]\nimage = "x"\nargs = ["a\\nb"]', 3, "one item a line"),
        ('[[server]]\nimage = "x"\nargs = [" a"]', 3, "one item a line"),
        ('[[server]]\nimage = "x"\nargs = [""]', 3, "one item a line"),
        ('[[server]]\nimage = "x"\nargs = ["\\u202e"]', 3, "do not print"),
        ("[[server]]\nimage = 'x'\nargs = [[1]]", 3, "neither text nor a number"),
        ("[[server]]\nimage = 'x'\npids = [1, 2]", 3, "not a list"),
        ("[[server]]\nimage = 'x'\nout = 'y'", 3, "no key `out`"),
        ("[[server]]\nimage = 'x'\nbase = 'y'", 3, "no key `base`"),
    ],
)
def test_a_wrong_list_is_one_sentence_with_its_line(text: str, line: int, named: str):
    with pytest.raises(BadInput) as caught:
        read(text)
    assert caught.value.what.startswith(f"servers.toml, line {line}: ")
    assert named in caught.value.what
    assert caught.value.what.endswith((".", "?"))
    assert caught.value.next_step


@pytest.mark.parametrize(
    "data", [b"\xff", b"a = ", b"[[server", b"a = [" * 5_000, b"#" * (lists.MAX_BYTES + 1)]
)
def test_what_is_no_list_is_refused(data: bytes):
    with pytest.raises(BadInput, match=r"servers\.toml"):
        read(data)


def test_an_invisible_server_is_met_on_its_line():
    text = 'a = """\n[[server]]\n"""\n[[server]]\nimage = "x"\n'
    with pytest.raises(BadInput, match="line 1: there is no key `a`"):
        read(text)
    hidden = '[[server]]\nimage = "x"\nargs = ["""a\\\n[[server]]""", """b\\"""",\n"c"]\nsede = 1\n'
    with pytest.raises(BadInput, match=r"servers\.toml, line 6: .*sede"):
        read(hidden)


KEYS = st.sampled_from(["a", "b", '"c d"', "'e'"])
VALUES = st.sampled_from(
    [
        *("1", '"x"', "'[[server]]'", '"""\n[[server]]\nz = 1\n"""', "'''\na = 1'''"),
        *("[\n1,\n2 # ]\n]", "{ k = 1 }", '"\\""', '"#"', '"""x""""', "[[1], ['[x]']]"),
        '"""\\"""" # "',
    ]
)


@settings(max_examples=200)
@given(st.lists(st.dictionaries(KEYS, VALUES, max_size=4), max_size=5))
def test_the_lines_are_those_of_the_keys(found: list[dict[str, str]]):
    text = ""
    wanted = []
    for one in found:
        wanted.append((1 + text.count("\n"), {}))
        text += "[[server]] # x\n"
        for key, value in one.items():
            wanted[-1][1][key.strip("\"'")] = 1 + text.count("\n")
            text += f"{key} = {value}\n"
    assert len(tomllib.loads(text).get("server", [])) == len(found)
    assert [(table.line, table.keys) for table in toml_lines.tables(text)] == wanted


def test_the_lines_of_a_long_list_are_found_in_one_pass():
    text = "".join(f"[[server]]\nname = 's{number}'\nimage = 'x'\n" for number in range(5_000))
    assert [one.line for one in read(text)] == list(range(1, 15_000, 3))


# --- the matrix -----------------------------------------------------------------------------------


def test_the_matrix_is_what_the_action_takes():
    made = json.loads(matrix.dumped(read(FULL)))
    assert set(made) == {"include"}
    known = {one.name for one in inputs.known()} | set(lists.SETTINGS)
    for job in made["include"]:
        assert set(job) - {"name"} <= known
        assert all(isinstance(value, str) for value in job.values())
        assert sum(bool(job[kind]) for kind in SourceKind) == 1
        assert NAME.fullmatch(job["name"])


def test_a_value_arrives_as_it_stands(tmp_path):
    job = json.loads(matrix.dumped(read(FULL)))["include"][0]
    job = {key: value for key, value in job.items() if key != "name"}
    given = inputs.read({f"INPUT_{key.upper()}": value for key, value in job.items()})
    made = inputs.settings(given, tmp_path)
    assert made.args == ("--stdio", "two words", "$(id) `id` ${{ secrets.X }}")
    assert made.env == ("MODE=test", "EMPTY=")
    assert (made.memory, made.cpus, made.pids) == (512 * 2**20, 1.5, 64)


def test_a_source_arrives_with_what_goes_with_it(tmp_path):
    text = """
    [[server]]
    source = "pypi:a-server[cli]==1.0"
    constraint = ["mcp>=1,<2", "x<3"]
    system-packages = ["git", "curl"]
    [[server]]
    source = "npm:@org/b@1.0.0"
    install-scripts = true
    [[server]]
    source = "mcpb:dist/c.mcpb"
    [[server]]
    image = "npm:5"
    """
    jobs = {job.pop("name"): job for job in json.loads(matrix.dumped(read(text)))["include"]}
    assert list(jobs) == ["a-server", "b", "c", "npm"]
    made = {
        name: inputs.settings(
            inputs.read({f"INPUT_{key.upper()}": value for key, value in job.items()}), tmp_path
        )
        for name, job in jobs.items()
    }
    assert made["a-server"].source == "pypi:a-server[cli]==1.0"
    assert made["a-server"].constraint == ("mcp>=1,<2", "x<3")
    assert made["a-server"].system_packages == ("git", "curl")
    assert made["b"].install_scripts is True
    assert made["c"].source == f"mcpb:{tmp_path}/dist/c.mcpb"
    assert (made["npm"].image, made["npm"].source) == ("npm:5", None)


def many(count: int, size: int = 0) -> tuple[Entry, ...]:
    extra = {"args": "x" * size} if size else {}
    return tuple(Entry(f"s{number}", SourceKind.IMAGE, "x", extra) for number in range(count))


@pytest.mark.parametrize(("count", "shards"), [(1, 1), (256, 1), (257, 2), (1_000, 4)])
def test_a_matrix_has_as_many_jobs_as_github_takes(count: int, shards: int):
    made = matrix.shards(many(count))
    assert len(made) == shards
    assert max(map(len, made)) <= 256
    assert [one for part in made for one in part] == list(many(count))


def test_a_matrix_has_as_many_bytes_as_an_output_takes():
    made = matrix.shards(many(100, 50_000))
    assert all(len(matrix.dumped(part)) < 2**20 // 2 for part in made)
    assert sum(map(len, made)) == 100
    with pytest.raises(ValueError, match="s0 has more than"):
        matrix.shards(many(1, 500_000))


def test_the_matrix_is_one_line_of_ascii():
    entry = Entry("a", SourceKind.IMAGE, "x", {"args": "\x7f\u2028é\n"})
    line = matrix.dumped([entry]).decode("ascii")
    assert line.isprintable()
    assert json.loads(line)["include"][0]["args"] == "\x7f\u2028é\n"


def test_every_setting_of_a_list_is_one_of_a_scan():
    known = {name.replace("_", "-") for name in Settings.model_fields}
    assert set(lists.SETTINGS) <= known
