"""The way out and the run-local authority, with real containers: what leaves, and what does not."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest

from mcp_sandbox.errors import EngineFailed
from mcp_sandbox.model import (
    COMPLETE,
    ROLE_LABEL,
    RUN_LABEL,
    ContainerFacts,
    ImageFacts,
    Limits,
    Network,
    Relaxation,
    Tls,
    Tracing,
    Witness,
)
from mcp_sandbox.sandbox import Engine, Recorded, Sandbox
from mcp_sandbox.sandbox.egress import FOLDER, Egress
from mcp_sandbox.sandbox.stream import HeadTail, open_attached
from support.on_engine import BASE, labelled
from support.sandboxed import read_until

pytestmark = pytest.mark.engine

LIMITS = Limits(memory=256 * 2**20, cpus=1.0)
DONE = b"done\n"

CLIENTS = f"""\
FROM {BASE}
RUN apt-get update && apt-get install -y --no-install-recommends \\
      ca-certificates curl nodejs python3-minimal python3-requests
COPY ask.py ask.mjs host.py /
"""

ASK = """\
import sys, urllib.request

def ask(url):
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return str(answer.status)
    except urllib.error.HTTPError as error:
        return str(error.code)
    except OSError as error:
        return "error: " + str(error)

for url in sys.argv[1:]:
    print(url, ask(url))
"""

ASK_NODE = """\
for (const url of process.argv.slice(2)) {
  try { console.log(url, (await fetch(url)).status); }
  catch (error) { console.log(url, "error:", error.cause?.code ?? error.message); }
}
"""

HOST = """\
import http.server, sys

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        print(self.path, flush=True)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("", 8080), Handler)
print("listening", flush=True)
server.serve_forever()
"""


@dataclass(frozen=True)
class Outside:
    """A web server on the engine's bridge, which no sandbox may reach unasked."""

    engine: Engine
    container: str
    address: str

    @property
    def asked(self) -> list[str]:
        """The paths that it was asked for."""
        text = self.engine.api.logs(self.container).decode()
        return text.split()[1:]


@pytest.fixture(scope="module")
def image(build: Callable[..., ImageFacts]) -> ImageFacts:
    return build(CLIENTS, {"ask.py": ASK, "ask.mjs": ASK_NODE, "host.py": HOST})


@pytest.fixture
def outside(engine: Engine, image: ImageFacts) -> Iterator[Callable[[], Outside]]:
    made: list[str] = []

    def start() -> Outside:
        created = engine.api.create_container_from_config(
            {"Image": image.id, "Entrypoint": ["python3", "-u", "/host.py"]}
        )
        made.append(str(created["Id"]))
        with closing(open_attached(engine, made[-1], stdin=False, errors=HeadTail(1000))) as said:
            engine.api.start(made[-1])
            read_until(said, b"listening\n")
        network = engine.api.inspect_container(made[-1])["NetworkSettings"]
        return Outside(engine, made[-1], str(network["IPAddress"]))

    yield start
    for container in made:
        engine.remove_container(container)


@dataclass(frozen=True)
class Told:
    """What one server printed, and what was recorded of it."""

    lines: list[str]
    facts: ContainerFacts
    recorded: Recorded

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.recorded.events if event["event"] == kind]


Run = Callable[..., Told]


@pytest.fixture
def run(engine: Engine, image: ImageFacts, helper_image: str) -> Iterator[Run]:
    """Runs a shell script as a server; afterwards nothing of it is left."""
    run_id = f"test-{secrets.token_hex(4)}"

    def held(
        script: str, *, allow: tuple[str, ...] = (), tls: Tls = Tls.OBSERVE, tracing: Tracing
    ) -> Told:
        with Sandbox(
            engine,
            image,
            run_id=run_id,
            limits=LIMITS,
            extra_env=(),
            extra_args=("sh", "-c", f"{script}\necho done; read _"),
            helper_image=helper_image,
            lifetime=600,
            network=Network.SINK,
            tls=tls,
            allow=allow,
        ) as sandbox:
            server = sandbox.start(
                relaxation=Relaxation.NONE, environment={}, name="s", tracing=tracing
            )
            printed = read_until(server.stream, DONE)
            facts = server.finish()
            return Told(printed.decode().splitlines()[:-1], facts, server.recorded)

    yield held
    assert labelled(engine, f"{RUN_LABEL}={run_id}") == []


both = pytest.mark.parametrize("tracing", [Tracing.INSIDE, Tracing.NONE])


# --- the way out ----------------------------------------------------------------------------------


@both
def test_only_the_allowed_endpoint_is_reached(
    run: Run, outside: Callable[[], Outside], tracing: Tracing
):
    allowed, other = outside(), outside()
    urls = [
        f"http://{allowed.address}:8080/first?token=secret",
        f"http://{other.address}:8080/other",
        f"http://{allowed.address}:8081/port",
        f"http://{allowed.address}:8080/second",
    ]
    told = run(
        f"python3 /ask.py {' '.join(urls)}", allow=(f"{allowed.address}:8080",), tracing=tracing
    )
    assert [line.rpartition(" ")[2] for line in told.lines] == ["200", "503", "503", "200"]
    assert allowed.asked == ["/first?token=secret", "/second"]
    assert other.asked == []
    texts = [event["text"].split("\r\n")[0] for event in told.events("allowed") if event["text"]]
    assert texts == ["GET /first?token=secret HTTP/1.1", "GET /second HTTP/1.1"]
    for event in told.events("allowed"):
        assert (event["host"], event["address"]) == (allowed.address, allowed.address)
        assert event["port"] == 8080
    refused = [(event["host"], event["port"]) for event in told.events("http")]
    assert refused == [(other.address, 8080), (allowed.address, 8081)]
    assert told.facts.witnesses[Witness.SINK] == COMPLETE


@both
def test_without_it_nothing_is_reached(run: Run, outside: Callable[[], Outside], tracing: Tracing):
    host = outside()
    told = run(f"python3 /ask.py http://{host.address}:8080/", tracing=tracing)
    assert told.lines == [f"http://{host.address}:8080/ 503"]
    assert host.asked == []
    assert told.events("allowed") == []


def test_an_allowed_host_that_is_not_there_makes_the_witness_incomplete(
    run: Run, outside: Callable[[], Outside]
):
    closed = f"{outside().address}:8081"
    told = run(f"python3 /ask.py http://{closed}/", allow=(closed,), tracing=Tracing.INSIDE)
    assert "error" in told.lines[0]
    assert f"{closed} was allowed, and not reached" in told.facts.witnesses[Witness.SINK]


def test_the_gateway_has_a_network_and_nothing_else(
    engine: Engine, helper_image: str, outside: Callable[[], Outside]
):
    host, run_id = outside(), f"test-{secrets.token_hex(4)}"
    labels = {RUN_LABEL: run_id}
    egress = Egress(
        engine,
        helper_image,
        (f"{host.address}:8080",),
        name=f"mcp-sandbox-{run_id}-egress",
        labels=lambda role: labels | {ROLE_LABEL: role},
    )
    try:
        facts = engine.api.inspect_container(egress.container)
        config = facts["HostConfig"]
        assert config["CapDrop"] == ["ALL"]
        assert not config["CapAdd"]
        assert config["ReadonlyRootfs"] is True
        assert config["SecurityOpt"] == ["no-new-privileges"]
        assert not config["Privileged"]
        assert config["PidsLimit"] == 64
        assert config["Memory"] == config["MemorySwap"] == 128 * 2**20
        assert config["LogConfig"]["Type"] == "none"
        assert [mount["Destination"] for mount in facts["Mounts"]] == [FOLDER]
        assert facts["Config"]["Labels"][ROLE_LABEL] == "egress"
        assert len(labelled(engine, f"{RUN_LABEL}={run_id}")) == 2
        engine.clean(run_id)
        assert labelled(engine, f"{RUN_LABEL}={run_id}") == []
    finally:
        egress.close()


def test_a_gateway_that_cannot_start_says_why_and_is_gone(engine: Engine, helper_image: str):
    run_id = f"test-{secrets.token_hex(4)}"
    with pytest.raises(EngineFailed, match="does not open") as caught:
        Egress(
            engine,
            helper_image,
            ("*.example.com",),
            name=f"mcp-sandbox-{run_id}-egress",
            labels=lambda role: {RUN_LABEL: run_id, ROLE_LABEL: role},
        )
    assert "wildcards" in caught.value.detail
    assert labelled(engine, f"{RUN_LABEL}={run_id}") == []


# --- TLS that is terminated -----------------------------------------------------------------------

HTTPS = """
python3 /ask.py https://urllib.example/a?key=1
python3 -c 'import requests; print("requests", requests.get("https://requests.example/b").status_code)'
curl -s -o /dev/null -w 'curl %{http_code}\\n' https://curl.example/c
node /ask.mjs https://node.example/d
"""


@both
def test_every_usual_client_trusts_the_sink(run: Run, tracing: Tracing):
    told = run(HTTPS, tls=Tls.TERMINATE, tracing=tracing)
    assert told.lines == [
        "https://urllib.example/a?key=1 503",
        "requests 503",
        "curl 503",
        "https://node.example/d 503",
    ]
    seen = {
        event["host"]: event["text"].split("\r\n")[0]
        for event in told.events("http")
        if event["tls"] and event["port"] == 443
    }
    assert seen == {
        "urllib.example": "GET /a?key=1 HTTP/1.1",
        "requests.example": "GET /b HTTP/1.1",
        "curl.example": "GET /c HTTP/1.1",
        "node.example": "GET /d HTTP/1.1",
    }
    assert told.facts.witnesses[Witness.SINK] == COMPLETE


def test_where_it_is_only_observed_nobody_is_told_to_trust_anything(run: Run):
    told = run(
        "env; ls /.mcp-sandbox/channel; python3 /ask.py https://a.example/", tracing=Tracing.INSIDE
    )
    assert not [line for line in told.lines if "ca.pem" in line]
    assert "error" in told.lines[-1]
    assert [event["host"] for event in told.events("tls")] == ["a.example"]
    assert told.events("http") == []


def test_the_server_sees_the_certificate_and_no_key(run: Run):
    told = run(
        'cat "$SSL_CERT_FILE" | grep -- ----; ls /.mcp-sandbox/channel; echo x > "$SSL_CERT_FILE"',
        tls=Tls.TERMINATE,
        tracing=Tracing.INSIDE,
    )
    assert told.lines == ["-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----", "ca.pem"]
    assert "Read-only file system" in told.facts.stderr


def test_what_the_user_sets_stays(engine: Engine, image: ImageFacts, helper_image: str):
    with Sandbox(
        engine,
        image,
        run_id=f"test-{secrets.token_hex(4)}",
        limits=LIMITS,
        extra_env=("SSL_CERT_FILE=/mine",),
        extra_args=("sh", "-c", 'echo "$SSL_CERT_FILE $CURL_CA_BUNDLE"; echo done; read _'),
        helper_image=helper_image,
        lifetime=600,
        network=Network.SINK,
        tls=Tls.TERMINATE,
    ) as sandbox:
        server = sandbox.start(relaxation=Relaxation.NONE, environment={}, name="s")
        printed = read_until(server.stream, DONE)
        server.finish()
    assert printed.decode().split()[:2] == ["/mine", "/.mcp-sandbox/channel/ca.pem"]
