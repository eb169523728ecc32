"""The forms of a source."""

from __future__ import annotations

import pytest

from mcp_sandbox.errors import BadInput
from mcp_sandbox.settings import load
from mcp_sandbox.sources.names import FORMS, Kind, Source, is_one, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pypi:a==1", (Kind.PYPI, "a", "1", "")),
        ("pypi:My_S.x[cli,http]==1!2.0rc1+l", (Kind.PYPI, "My_S.x", "1!2.0rc1+l", "cli,http")),
        ("npm:a@1.0.0", (Kind.NPM, "a", "1.0.0", "")),
        ("npm:@org/a-b@1.0.0-rc.1", (Kind.NPM, "@org/a-b", "1.0.0-rc.1", "")),
        ("mcpb:dist/a server.mcpb", (Kind.BUNDLE, "dist/a server.mcpb", "", "")),
        ("https://h.org:8443/o/r.git@v1.2", (Kind.GIT, "https://h.org:8443/o/r.git", "v1.2", "")),
        ("https://h/o/r@refs/heads/x", (Kind.GIT, "https://h/o/r", "refs/heads/x", "")),
    ],
)  # fmt: skip
def test_a_source_is_read(text: str, expected: tuple[Kind, str, str, str]):
    found = parse(text)
    assert (found.kind, found.name, found.version, found.extras) == expected
    assert found == Source(found.kind, text, *expected[1:])
    assert is_one(text)
    assert load({"source": text}).source == text


@pytest.mark.parametrize(
    "text",
    [
        *("pypi:a", "pypi:a==", "pypi:a==x", "pypi:-a==1", "pypi:a==1 --index-url=x", "pypi:a>=1"),
        *("pypi:a==1\n", "pypi:a[==1", "pypi:../a==1", f"pypi:{'a' * 102}==1", "PYPI:a==1"),
        *("npm:a", "npm:a@latest", "npm:a@^1", "npm:@a@1", "npm:../a@1", "npm:A@1.0.0", "npm:@1.0"),
        *("mcpb:", "mcpb:a\nb", "mcpb:a\0b", "https://h", "https://h/r", "https://h/r@", "http://h/r@v"),
        *("https://u:p@h/r@v", "https://h/r@-x", "https://h/r@a b", "https://h/r@a:b", "git@h:r@v"),
        *("https://-h/r@v", "ssh://h/r@v", "file:///r@v", "", ":"),
    ],
)  # fmt: skip
def test_nothing_else_is_one(text: str):
    with pytest.raises(ValueError, match="is none of"):
        parse(text)
    with pytest.raises(BadInput, match=r"is none of pypi:NAME==VERSION, npm:"):
        load({"source": text})


def test_every_kind_has_a_form_that_is_one():
    assert set(FORMS) == set(Kind)
    for kind, form in FORMS.items():
        assert is_one(form)
        assert form.startswith(kind.value)


@pytest.mark.parametrize("text", [".", "servers/x", "./pypi", "/https:", "pypi", "npm", "C:/x"])
def test_a_folder_is_none(text: str):
    assert not is_one(text)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"source": "pypi:a==1", "image": "x"}, "Give either"),
        ({"source": "pypi:a==1", "context": "."}, "Give either"),
        ({"source": "pypi:a==1", "dockerfile": "D"}, "goes with a folder"),
        ({"source": "pypi:a==1", "install_scripts": True}, "goes with npm:"),
        ({"source": "mcpb:a", "entry_point": "x"}, "goes with pypi:"),
        ({"source": "https://h/r@v", "system_packages": ("git",)}, "goes with pypi:"),
        ({"image": "x", "constraint": ("a<2",)}, "goes with pypi:"),
    ],
)
def test_what_does_not_go_together_is_refused(values: dict[str, object], said: str):
    with pytest.raises(BadInput, match=said):
        load(values)


def test_a_repository_may_name_its_dockerfile():
    assert str(load({"source": "https://h/r@v", "dockerfile": "docker/D"}).dockerfile) == "docker/D"
