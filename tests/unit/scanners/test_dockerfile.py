"""What is said of a Dockerfile, and that nothing in one breaks the reader."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_sandbox.model import IssueKind, ScannerState
from mcp_sandbox.scanners import instructions
from mcp_sandbox.scanners.dockerfile import DockerfileScanner, final_from_line, issues
from mcp_sandbox.scanners.dockerfile_rules import RULES
from mcp_sandbox.scanners.job import Job


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (b"FROM a\n", 1),
        (b"\xef\xbb\xbf# c\n\nARG X=1\nFROM a AS b\nRUN x\nFROM b\nRUN y\n", 6),
        (b"FROM a\nRUN <<EOF\nFROM trap\nEOF\nRUN true\n", 1),
        (b"FROM a\nRUN echo \\\n# FROM trap\n\n  FROM trap\nUSER x\n", 1),
        (b"# escape=`\nFROM a\nRUN x `\nFROM trap\n", 2),
        (b"FROM a\nRUN x \\\\\nFROM b\n", 3),
        (b"FROM a\nONBUILD RUN x\n", 1),
        (b"FROM a\r\nRUN x \\\r\n  y\r\nFROM b\r\n", 4),
        (b"FROM a\nCOPY <<-'E F' <<G /x/\nFROM t\n\tE F\nFROM t\nG\nFROM z", 7),
        (b"", 0),
        (b"RUN x\nFROM a\n", 0),
        (b"FROM a\nRUN <<EOF\nnever ends\n", 0),
        (b"FROM a\nFORM b\n", 0),
        (b"\x00\xff" * 50, 0),
        (b"FROM a\n" + b"#" * 10 * 2**20, 0),
    ],
)
def test_the_final_stage_is_found_as_the_builder_finds_it(source: bytes, line: int):
    assert final_from_line(source) == line


def test_arguments_before_the_first_stage_fill_in_the_base():
    parsed = instructions.parse(
        b"ARG TAG=3.12\nARG BASE=python:${TAG}-slim\nFROM $BASE AS Build\n"
        b"FROM ${UNKNOWN}\nFROM ${UNKNOWN:-debian:trixie}\n"
    )
    bases = [(stage.base, stage.name) for stage in instructions.stages(parsed)]
    assert bases == [("python:3.12-slim", "build"), (None, ""), ("debian:trixie", "")]


@pytest.mark.parametrize(
    ("text", "split"),
    [
        ("a  b\tc", ["a", "b", "c"]),
        ('A=\'x y\' B="p \\" q" C=r\\ s', ["A=x y", 'B=p " q', "C=r s"]),
        ("'' x", ["", "x"]),
        ("'never ends", ["never ends"]),
        ('"never ends \\', ["never ends "]),
    ],
)
def test_words_are_those_of_the_builder(text: str, split: list[str]):
    assert instructions.words(text) == split


# --- the rules ------------------------------------------------------------------------------------

PINNED = "FROM python:3.12-slim@sha256:" + "0" * 64 + "\n"
FULL = "FROM python:3.12\n"
KEY = "ghp_" + "a1B2c3D4e5F6g7H8i9J0" * 2
COMMIT = "c0ffee" * 6 + "beef"

HITS: list[tuple[str, str, int, str]] = [
    ("no-user", PINNED, 1, "low"),
    ("no-user", PINNED + "USER app\nUSER 0:0\n", 3, "low"),
    ("no-user", PINNED + "USER root\n", 2, "low"),
    ("no-user", "FROM a AS b\nUSER app\nFROM c\n", 3, "low"),
    ("secret-in-build", f"{PINNED}ENV A=1 X={KEY}\n", 2, "high"),
    ("secret-in-build", f"{PINNED}ENV URL postgres://app:hunter2x@db/app\n", 2, "high"),
    ("secret-in-build", f"{PINNED}ENV API_TOKEN=not-a-real-token-1234567890\n", 2, "medium"),
    ("secret-in-build", f"{PINNED}ARG DB_PASSWORD=hunter2x\n", 2, "medium"),
    ("secret-in-build", f"ARG NPM_TOKEN=hunter2x\n{PINNED}", 1, "medium"),
    ("secret-in-build", f"{PINNED}ARG NPM_TOKEN\n", 2, "low"),
    ("secret-in-build", f"{PINNED}ARG API_KEY\nENV API_KEY=${{API_KEY}}\n", 3, "medium"),
    (
        "healthcheck-program",
        f"{PINNED}HEALTHCHECK --interval=5s CMD curl -f x || exit 1\n",
        2,
        "low",
    ),
    ("healthcheck-program", PINNED + 'HEALTHCHECK CMD ["wget", "-q", "x"]\n', 2, "low"),
    ("healthcheck-program", "FROM node:22-alpine\nHEALTHCHECK CMD curl x\n", 2, "low"),
    (
        "healthcheck-program",
        f"FROM debian AS b\nRUN apt-get install -y curl\n{PINNED}HEALTHCHECK CMD curl x\n",
        4,
        "low",
    ),
    ("expose-without-need", PINNED + 'EXPOSE 8080\nCMD ["python", "server.py"]\n', 2, "low"),
    (
        "expose-without-need",
        PINNED + 'EXPOSE 8080\nCMD ["s", "--transport", "stdio", "--port", "1"]\n',
        2,
        "low",
    ),
    ("unpinned-base", "FROM python\n", 1, "medium"),
    ("unpinned-base", "FROM registry.example:5000/python:latest\n", 1, "medium"),
    ("unpinned-base", FULL, 1, "low"),
    ("unpinned-base", "ARG V\nFROM python:${V}\n", 2, "low"),
    ("unpinned-launcher", PINNED + 'ENTRYPOINT ["npx", "-y", "@scope/server"]\n', 2, "medium"),
    ("unpinned-launcher", PINNED + 'CMD ["npx", "server@latest"]\n', 2, "medium"),
    ("unpinned-launcher", PINNED + 'CMD ["npx", "server@^1.2.3"]\n', 2, "medium"),
    ("unpinned-launcher", PINNED + "CMD exec uvx --from server-pkg server\n", 2, "medium"),
    ("unpinned-launcher", PINNED + "CMD pipx run server\n", 2, "medium"),
    (
        "unpinned-launcher",
        PINNED + 'ENTRYPOINT ["uv", "tool", "run"]\nCMD ["server"]\n',
        2,
        "medium",
    ),
    ("unpinned-launcher", PINNED + 'CMD ["sh", "-c", "npm exec -- server"]\n', 2, "medium"),
    ("unpinned-launcher", PINNED + 'CMD ["/entry.sh", "npx", "-y", "server"]\n', 2, "medium"),
    ("add-without-checksum", PINNED + "ADD https://example.com/a.tgz /a\n", 2, "medium"),
    ("add-without-checksum", PINNED + 'ADD ["https://u:p@example.com/a?k=v", "/a"]\n', 2, "medium"),
    ("add-without-checksum", PINNED + "ADD https://example.com/a.git#main /a\n", 2, "medium"),
    (
        "pipe-to-shell",
        PINNED + "RUN true && \\\n  curl -fsSL https://x | sudo -E bash -\n",
        2,
        "medium",
    ),
    ("pipe-to-shell", PINNED + 'RUN sh -c "$(wget -qO- https://x)"\n', 2, "medium"),
    ("pipe-to-shell", PINNED + "RUN bash <(curl https://x)\n", 2, "medium"),
    ("pipe-to-shell", PINNED + "RUN curl https://x | tee y | python3 -\n", 2, "medium"),
    ("pipe-to-shell", PINNED + "RUN <<EOF\nset -e\ncurl https://x | sh\nEOF\n", 2, "medium"),
    ("pipe-to-shell", PINNED + 'RUN ["sh", "-c", "curl https://x | sh"]\n', 2, "medium"),
    ("unlocked-install", PINNED + "RUN pip install --no-cache-dir mcp\n", 2, "low"),
    ("unlocked-install", PINNED + "RUN python3 -m pip install 'mcp>=1.2'\n", 2, "low"),
    ("unlocked-install", PINNED + "RUN uv pip install --system mcp\n", 2, "low"),
    ("unlocked-install", PINNED + "RUN npm install -g server@1\n", 2, "low"),
    ("unlocked-install", PINNED + "RUN cd /app && npm install\n", 2, "low"),
]

MISSES: list[tuple[str, str]] = [
    ("no-user", PINNED + "USER 65532:65532\n"),
    ("no-user", PINNED + "USER root\nRUN x\nUSER app\n"),
    ("no-user", "FROM a AS base\nUSER app\nFROM base\n"),
    ("no-user", "FROM example/python3:nonroot\n"),
    ("no-user", PINNED + "USER $APP_USER\n"),
    ("secret-in-build", PINNED + "ENV TOKENIZERS_PARALLELISM=false MAX_TOKENS=4096\n"),
    (
        "secret-in-build",
        PINNED + "ENV DB_PASSWORD_FILE=/run/secrets/db GPG_KEY=7169605F62C751356D\n",
    ),
    (
        "secret-in-build",
        PINNED + "ENV API_TOKEN= DB_PASSWORD=/run/secrets/db AUTH_TOKEN=your-token\n",
    ),
    ("secret-in-build", PINNED + "ENV X=ghp_" + "x" * 36 + "\n"),
    ("secret-in-build", PINNED + "ENV URL=postgres://app:${PASSWORD}@db/app\n"),
    ("secret-in-build", PINNED + "RUN --mount=type=secret,id=npm_token,env=NPM_TOKEN npm ci\n"),
    ("secret-in-build", PINNED + f"ONBUILD ENV X={KEY}\n"),
    ("healthcheck-program", PINNED + "RUN apt-get install -y curl=8.1\nHEALTHCHECK CMD curl x\n"),
    (
        "healthcheck-program",
        PINNED + "COPY --from=b /usr/bin/curl /usr/bin/curl\nHEALTHCHECK CMD curl x",
    ),
    ("healthcheck-program", "FROM node:22-alpine\nHEALTHCHECK CMD wget x\n"),
    ("healthcheck-program", FULL + "HEALTHCHECK CMD curl x\n"),
    ("healthcheck-program", PINNED + "HEALTHCHECK CMD curl x\nHEALTHCHECK NONE\n"),
    ("healthcheck-program", PINNED + "HEALTHCHECK CMD python -c 'import curl'\n"),
    ("expose-without-need", PINNED + 'EXPOSE 8080\nCMD ["uvicorn", "server:app"]\n'),
    ("expose-without-need", PINNED + 'EXPOSE 8080\nENV PORT=8080\nCMD ["python", "server.py"]\n'),
    ("expose-without-need", PINNED + "EXPOSE 80\nHEALTHCHECK CMD wget http://x\nCMD server\n"),
    ("expose-without-need", PINNED + "EXPOSE 8080\n"),
    ("unpinned-base", PINNED),
    ("unpinned-base", f"{PINNED.strip()} AS Build\nFROM build\n"),
    ("unpinned-base", "FROM scratch\n"),
    ("unpinned-base", "FROM scratch AS get-amd64\nFROM get-${TARGETARCH}\n"),
    ("unpinned-base", f"ARG B=a@sha256:{'0' * 64}\nFROM $B\n"),
    ("unpinned-launcher", PINNED + 'ENTRYPOINT ["npx", "-y", "@scope/server@1.2.3"]\n'),
    ("unpinned-launcher", PINNED + 'CMD ["uvx", "--from", "server-pkg==1.2", "server"]\n'),
    ("unpinned-launcher", PINNED + 'CMD ["npx", "--package=server@1.2.3", "server"]\n'),
    (
        "unpinned-launcher",
        PINNED + 'CMD ["uvx", "--from", "git+https://x@' + COMMIT + '", "server"]\n',
    ),
    ("unpinned-launcher", PINNED + 'RUN npm ci\nCMD ["npx", "server"]\n'),
    ("unpinned-launcher", PINNED + 'CMD ["npx", "--no-install", "server"]\n'),
    ("unpinned-launcher", PINNED + 'CMD ["npm", "start"]\n'),
    ("unpinned-launcher", PINNED + 'CMD ["uv", "run", "server"]\n'),
    ("unpinned-launcher", PINNED + 'CMD ["npx", "server"]\nCMD ["node", "server.js"]\n'),
    ("add-without-checksum", PINNED + "ADD --checksum=sha256:00 https://example.com/a.tgz /a\n"),
    ("add-without-checksum", PINNED + f"ADD https://example.com/a.git#{COMMIT} /a\n"),
    ("add-without-checksum", PINNED + "ADD . /app\n"),
    ("pipe-to-shell", PINNED + "RUN curl https://x | tar xz\n"),
    ("pipe-to-shell", PINNED + "RUN curl -o x.sh https://x && sha256sum -c x.sum && sh x.sh\n"),
    ("pipe-to-shell", PINNED + "RUN echo 'curl https://x | sh'\n"),
    ("pipe-to-shell", PINNED + "RUN cat <<EOF > /doc\ncurl https://x | sh\nEOF\n"),
    ("pipe-to-shell", PINNED + "RUN curl https://x | python3 -m json.tool\n"),
    ("pipe-to-shell", PINNED + "# RUN curl https://x | sh\nRUN true\n"),
    ("unlocked-install", PINNED + "RUN pip install --require-hashes -r requirements.txt\n"),
    ("unlocked-install", PINNED + "RUN pip install -rreq.txt && pip install . 'mcp[cli]==1.2'\n"),
    ("unlocked-install", PINNED + "RUN pip install --upgrade pip && pip --version install\n"),
    ("unlocked-install", PINNED + "RUN npm ci && npm install -g server@1.2.3\n"),
]


def found(rule: str, source: str):
    return [one for one in issues(source.encode(), "Dockerfile") if one.rule == rule]


@pytest.mark.parametrize(("rule", "source", "line", "severity"), HITS)
def test_a_rule_hits(rule, source, line, severity):
    hits = found(rule, source)
    assert (hits[-1].line, hits[-1].severity) == (line, severity)
    for one in hits:
        assert one.kind is IssueKind.DOCKERFILE
        assert one.path == "Dockerfile"
        assert one.title
        assert one.message
        assert one.fix


@pytest.mark.parametrize(("rule", "source"), MISSES)
def test_a_rule_stays_quiet(rule, source):
    assert found(rule, source) == []


def test_every_rule_has_a_hit_and_a_near_miss():
    ids = [one.id for one in RULES]
    assert ids == sorted(set(ids))
    assert {rule for rule, *_ in HITS} == {rule for rule, _ in MISSES} == set(ids)
    worst = {one.id: one.severity for one in RULES}
    order = ["high", "medium", "low"]
    for rule, _, _, severity in HITS:
        assert order.index(severity) >= order.index(worst[rule])


def test_a_secrets_value_is_never_told():
    source = (
        f"ARG NPM_TOKEN=hunter2x\n{PINNED}ENV API_KEY={KEY} URL=https://u:hunter2x@h/x\n"
        "ADD https://u:hunter2x@example.com/a?key=hunter2x /a\n"
        "RUN pip install git+https://u:hunter2x@example.com/x mcp\n"
    )
    told = repr(issues(source.encode(), "Dockerfile"))
    assert "ENV API_KEY" in told
    assert "hunter2x" not in told
    assert KEY not in told


def test_two_hits_of_one_rule_are_told_apart():
    twice = found("pipe-to-shell", PINNED + "RUN curl x | sh\nRUN curl y | sh\n")
    assert [(one.line, one.subject) for one in twice] == [(2, "RUN sh"), (3, "RUN sh (2)")]


# --- the scanner ----------------------------------------------------------------------------------


def scan(folder: Path, name: str = "Dockerfile"):
    job = Job(folder, folder, name, None, "", "", folder, {}, 60)
    return DockerfileScanner().run(job)


def test_the_scanner_reads_the_dockerfile_that_is_built(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "My.Dockerfile").write_text("FROM debian:latest\n")
    run = scan(tmp_path, "sub/My.Dockerfile")
    assert (run.tool, run.state, run.why) == ("mcp-dockerfile", ScannerState.RAN, "")
    assert [(one.rule, one.path) for one in run.issues] == [
        ("no-user", "sub/My.Dockerfile"),
        ("unpinned-base", "sub/My.Dockerfile"),
    ]


def test_without_a_dockerfile_it_is_not_used(tmp_path):
    run = scan(tmp_path, "")
    assert (run.state, run.why) == (ScannerState.NOT_USED, "There is no Dockerfile.")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "at line 1: it holds no instruction that builds anything."),
        (b"FROM a\nFORM b\n", "at line 2: it has an unknown instruction: 'FORM'."),
        (b"FROM a\nRUN <<EOF\n", "at line 2: its here-document 'EOF' never ends."),
        (b"RUN x\nFROM a\n", "at line 1: RUN stands before the first FROM."),
        (b"FROM a b c\n", "at line 1: FROM wants IMAGE or IMAGE AS NAME."),
        (b"FROM a\nRUN\n", "at line 2: RUN has no argument."),
        (b"FROM a\n\0\n", "at line 2: it holds a null byte."),
        (b"FROM a\nONBUILD ONBUILD RUN x\n", "at line 2: ONBUILD stands inside ONBUILD."),
        (b"# escape=x\nFROM a\n", "at line 1: its escape directive is neither ` nor \\."),
        ("FROM a".encode("utf-16"), "at line 1: it holds a null byte."),
        (b"FROM a\n" * 2001, "at line 2001: it has more than 2000 instructions."),
    ],
)
def test_one_that_does_not_parse_is_one_sentence(tmp_path, content, why):
    (tmp_path / "Dockerfile").write_bytes(content)
    run = scan(tmp_path)
    assert (run.state, run.issues) == (ScannerState.FAILED, ())
    assert run.why == f"The Dockerfile does not parse {why}"


def test_one_that_is_no_small_file_is_one_sentence(tmp_path):
    why = "The Dockerfile is no readable file of at most 1 MiB."
    assert scan(tmp_path).why == why
    (tmp_path / "Dockerfile").write_bytes(b"FROM a\n#" + b"x" * 10 * 2**20)
    assert scan(tmp_path).why == why
    os.mkfifo(tmp_path / "pipe")
    assert scan(tmp_path, "pipe").why == why
    outside = tmp_path / "in"
    outside.mkdir()
    (outside / "Dockerfile").symlink_to(tmp_path / "Dockerfile")
    assert scan(outside).why == why


def refusal(source: bytes) -> instructions.DockerfileError | None:
    """Why a Dockerfile is refused; ``None`` when the rules have read it."""
    try:
        issues(source, "Dockerfile")
    except instructions.DockerfileError as error:
        return error
    return None


PIECES = b'FROM a|ARG A=$A$B|ENV A|RUN |curl x|<<E|\nE\n|\\\n|\n| |["|"]|$|${|\xff|CMD npx'.split(
    b"|"
)


@given(
    st.lists(
        st.one_of(
            st.sampled_from(PIECES),
            st.binary(max_size=5),
        ),
        max_size=25,
    )
)
def test_any_bytes_are_read_or_refused(pieces):
    source = b"FROM a\n" + b"".join(pieces)
    refused = refusal(source)
    assert refused is None or (refused.line > 0 and "\n" not in refused.what)


def test_a_long_chain_of_stages_is_followed():
    chain = "".join(f"FROM s{n} AS s{n + 1}\nUSER app\n" for n in range(999))
    assert found("no-user", f"{chain}FROM s999\n") == []
    assert found("no-user", f"{chain}FROM s999\nUSER 0\n")[0].line == 2000


@pytest.mark.parametrize(
    "piece",
    [
        b"RUN curl x | sh\n",
        b"ENV A=$A$A$A\n",
        b"ARG A=${A}${A}\n",
        b"RUN x \\\n",
        b"ENV X_TOKEN=eyJeyJeyJ",
        b"RUN $(",
        b"# escape=\\\n",
        b"CMD npx \\\n",
        b"eyJ" * 1000 + b" ",
        b"\\ ",
    ],
)
def test_large_ones_are_read_in_one_go(piece):
    source = b"FROM a\nENV A=1\nRUN x " + piece * (2**20 // len(piece) // 2)
    refused = refusal(source)
    assert refused is None or refused.line > 0
