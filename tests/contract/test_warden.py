"""The warden in the network of a real container: everything is seen, and nothing leaves."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import queue
import secrets
import subprocess
import textwrap
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

pytestmark = pytest.mark.engine

PYTHON = "/opt/mcp-sandbox/bin/python"
RESOLVER = "192.0.2.53"
LOCKED = ("--cap-drop", "ALL", "--read-only", "--security-opt", "no-new-privileges")
SECONDS = 60

Event = dict[str, Any]

PRELUDE = """
import json, socket, ssl, sys

V4, V6 = socket.AF_INET, socket.AF_INET6

def tell(**facts):
    print(json.dumps(facts), flush=True)

def tcp(address, port, data=b"", family=V4, size=200):
    with socket.socket(family) as sock:
        sock.settimeout(20)
        sock.connect((address, port))
        sock.sendall(data)
        return sock.recv(size).decode("latin-1")

def udp(address, port, data, family=V4, answer=False):
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(20)
        sock.sendto(data, (address, port))
        if answer:
            got, sender = sock.recvfrom(2000)
            return [got.hex(), *sender[:2]]

QUESTION = b"\\x12\\x34\\x01\\x00\\0\\1\\0\\0\\0\\0\\0\\0\\x06secret\\x03org\\0\\0\\1\\0\\1"
"""


@dataclass
class Pod:
    """A server's container without a network, and the warden in its namespace."""

    image: str
    environment: dict[str, str]
    arguments: tuple[str, ...] = ()
    server: str = field(default_factory=lambda: f"test-warden-{secrets.token_hex(4)}")
    events: list[Event] = field(default_factory=list)
    _arrived: queue.Queue[Event | None] = field(default_factory=queue.Queue)

    def docker(self, *words: str, text: str | None = None) -> str:
        done = subprocess.run(
            ("docker", *words), env=self.environment, input=text, capture_output=True, text=True,
            timeout=SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> None:
        label = ("--label", "dev.mcp-sandbox.test=warden")
        self.docker(
            "run", "-d", "--init", "--name", self.server, *label, *LOCKED, "--network", "none",
            "--dns", RESOLVER, "--sysctl", "net.ipv6.conf.all.disable_ipv6=0",
            "--entrypoint", "sleep", self.image, "600",
        )  # fmt: skip
        self.warden = subprocess.Popen(
            ("docker", "run", "-i", "--rm", "--name", f"{self.server}-w", *label, *LOCKED,
             "--cap-add", "NET_ADMIN", "--memory", "128m", "--memory-swap", "128m",
             "--pids-limit", "64", "--network", f"container:{self.server}",
             "--entrypoint", PYTHON, self.image, "-I", "-m", "mcp_sandbox.warden", "--sink",
             *self.arguments),
            env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.warden.stdout
        for line in self.warden.stdout:
            self._arrived.put(json.loads(line))
        self._arrived.put(None)

    def until(self, kind: str) -> Event:
        """Read events up to one of that kind."""
        while True:
            event = self._arrived.get(timeout=SECONDS)
            assert event is not None, self.events[-5:]
            self.events.append(event)
            if event["event"] == kind:
                return event

    def run(self, script: str, *, ready: bool = True) -> list[Any]:
        """What a client in the server's container tells."""
        if ready and not self.events:
            self.until("ready")
        said = self.docker(
            "exec", "-i", self.server, PYTHON, "-", text=PRELUDE + textwrap.dedent(script)
        )
        return [json.loads(line) for line in said.splitlines()]

    def tell(self, **command: object) -> None:
        assert self.warden.stdin
        self.warden.stdin.write(json.dumps(command).encode() + b"\n")
        self.warden.stdin.flush()

    def finish(self) -> int:
        """The exit code; nothing but the trace is ever on standard error."""
        self.tell(do="finish")
        self.until("end")
        assert self._arrived.get(timeout=SECONDS) is None
        assert self.warden.stderr
        assert self.warden.stderr.read() == b""
        assert [one["seq"] for one in self.events] == list(range(1, len(self.events) + 1))
        return self.warden.wait(SECONDS)

    def of(self, *kinds: str) -> list[Event]:
        return [one for one in self.events if one["event"] in kinds]

    def close(self) -> None:
        for name in (f"{self.server}-w", self.server):
            with contextlib.suppress(AssertionError):  # it may have gone by itself
                self.docker("rm", "-f", name)
        for pipe in (self.warden.stdin, self.warden.stdout, self.warden.stderr):
            assert pipe
            pipe.close()
        self.warden.wait(SECONDS)


@pytest.fixture
def environment(docker_host: str | None) -> dict[str, str]:
    return {**os.environ, **({"DOCKER_HOST": docker_host} if docker_host else {})}


@pytest.fixture
def pod(
    helper_image: str, environment: dict[str, str], request: pytest.FixtureRequest
) -> Iterator[Pod]:
    made = Pod(helper_image, environment, getattr(request, "param", ()))
    made.start()
    yield made
    made.close()


def brief(events: list[Event], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(one.get(name) for name in names) for one in events]


def test_names_are_answered_over_every_way_to_ask(pod: Pod):
    found, *answers = pod.run("""
        found = socket.getaddrinfo("api.secret-in-a-label.example", 443)
        tell(found=[one[4][0] for one in found])
        tell(answer=udp("9.9.9.9", 53, QUESTION, answer=True))
        tell(answer=udp("2620:fe::fe", 53, QUESTION, V6, answer=True))
        framed = len(QUESTION).to_bytes(2, "big") + QUESTION
        tell(answer=tcp("1.1.1.1", 53, framed).encode("latin-1").hex())
    """)
    assert {ipaddress.ip_address(one).version for one in found["found"]} == {4, 6}
    assert all(ipaddress.ip_address(one).is_global for one in found["found"])
    # The answer comes from the address and the port that were asked.
    assert [one["answer"][1:] for one in answers[:2]] == [["9.9.9.9", 53], ["2620:fe::fe", 53]]
    assert answers[0]["answer"][0].startswith("12348180")
    assert answers[2]["answer"][4:] == answers[0]["answer"][0]
    assert pod.finish() == 0
    asked = brief(pod.of("dns"), "name", "type", "address")
    name = "api.secret-in-a-label.example"
    assert set(asked[:2]) == {(name, "A", RESOLVER), (name, "AAAA", RESOLVER)}
    assert asked[2:] == [
        ("secret.org", "A", "9.9.9.9"),
        ("secret.org", "A", "2620:fe::fe"),
        ("secret.org", "A", "1.1.1.1"),
    ]


def test_requests_are_read_and_refused(pod: Pod):
    told = pod.run("""
        body = b"key=planted"
        post = b"POST /take HTTP/1.1\\r\\nHost: other.example\\r\\nContent-Length: 11\\r\\n\\r\\n"
        name = socket.gethostbyname("drop.example")
        tell(said=tcp(name, 80, post + body))
        tell(said=tcp("169.254.169.254", 80, b"GET /latest/meta-data/ HTTP/1.0\\r\\n\\r\\n"))
        tell(said=tcp("10.11.12.13", 8080, b"GET /ten HTTP/1.0\\r\\n\\r\\n"))
        tell(said=tcp("fd00:ec2::254", 80, b"GET /six HTTP/1.0\\r\\n\\r\\n", V6))
        tell(said=tcp("2606:4700::1", 3128, b"CONNECT far.example:8443 HTTP/1.1\\r\\n\\r\\n", V6))
        tell(said=tcp("::ffff:10.9.8.7", 80, b"GET /mapped HTTP/1.0\\r\\n\\r\\n", V6))
    """)
    assert [one["said"][:12] for one in told] == ["HTTP/1.1 503"] * 6
    assert pod.finish() == 0
    requests = pod.of("http")
    assert brief(requests, "host", "port", "tls")[0] == ("drop.example", 80, False)
    assert requests[0]["text"].endswith("\r\n\r\nkey=planted")
    assert "Host: other.example" in requests[0]["text"]
    assert brief(requests[1:], "host", "port", "address") == [
        ("169.254.169.254", 80, "169.254.169.254"),
        ("10.11.12.13", 8080, "10.11.12.13"),
        ("fd00:ec2::254", 80, "fd00:ec2::254"),
        ("far.example", 8443, "2606:4700::1"),
        ("10.9.8.7", 80, "10.9.8.7"),
    ]


def test_of_tls_the_name_is_read(pod: Pod):
    (told,) = pod.run("""
        context = ssl.create_default_context()
        context.set_alpn_protocols(["h2", "http/1.1"])
        try:
            with socket.create_connection(("vault.example", 8443), 20) as sock:
                context.wrap_socket(sock, server_hostname="inner.example")
        except ssl.SSLError as error:
            tell(error=error.reason)
    """)
    assert "HANDSHAKE_FAILURE" in told["error"]
    assert pod.finish() == 0
    ((host, port, address, alpn),) = brief(pod.of("tls"), "host", "port", "address", "alpn")
    assert (host, port, alpn) == ("inner.example", 8443, ["h2", "http/1.1"])
    assert address == pod.of("dns")[0]["answer"]


def test_other_protocols_show_their_first_bytes(pod: Pod):
    told = pod.run("""
        import os, subprocess
        udp("8.8.8.8", 123, b"time?")
        udp("2001:4860::1", 123, b"time6?", V6)
        udp("8.8.8.8", 443, b"\\xc3\\0\\0\\0\\1" + bytes(1200))
        with socket.socket(V4, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            sock.sendto(b"anyone?", ("255.255.255.255", 67))
        tell(said=tcp("45.1.2.3", 6667, b"NICK bot\\r\\n"))
        tell(said=tcp("45.1.2.3", 25))
        # A shell whose input and output are a connection.
        with socket.create_connection(("45.1.2.3", 4444)) as sock:
            subprocess.run(["/bin/sh"], stdin=sock, stdout=sock, stderr=sock, timeout=30)
    """)
    assert [one["said"] for one in told] == ["id\n", "220 mail ESMTP\r\n"]
    assert pod.finish() == 0
    assert set(brief(pod.of("udp", "quic"), "event", "address", "port", "size")) == {
        ("udp", "8.8.8.8", 123, 5),
        ("udp", "2001:4860::1", 123, 6),
        ("quic", "8.8.8.8", 443, 1205),
        ("udp", "255.255.255.255", 67, 7),
    }
    by_port = {one["port"]: bytes.fromhex(one["first"]) for one in pod.of("tcp")}
    assert by_port[6667] == b"NICK bot\r\n"
    assert by_port[25] == b""
    assert b"uid=0" in by_port[4444]


def test_what_is_still_open_at_the_end_is_written_down(pod: Pod):
    pod.run("""
        import os, time
        if os.fork() == 0:
            os.setsid()
            for number in range(3):
                os.close(number)
            kept = [socket.create_connection(("45.1.2.3", port)) for port in (1001, 1002, 1003)]
            kept[1].send(b"\\x16\\x03\\x01\\x02\\x00")
            kept[2].send(b"GET / HTTP/1.1\\r\\nX-Half: ye")
            udp("8.8.8.8", 9, b"all sent")
            time.sleep(60)
    """)
    # The sink is told to finish as soon as all has been sent.
    pod.until("udp")
    assert pod.finish() == 0
    said = {one["port"]: one.get("text", one.get("first")) for one in pod.of("tcp", "http")}
    assert said == {1001: "", 1002: "1603010200", 1003: "GET / HTTP/1.1\r\nX-Half: ye"}


def test_listeners_of_the_server_change_nothing(pod: Pod):
    told = pod.run("""
        kept = []
        for family, kind, address, port in [
            (V4, socket.SOCK_STREAM, "0.0.0.0", 80), (V6, socket.SOCK_STREAM, "::", 443),
            (V4, socket.SOCK_DGRAM, "0.0.0.0", 53), (V4, socket.SOCK_DGRAM, "8.8.8.8", 123),
            (V4, socket.SOCK_STREAM, "9.9.9.9", 8080),
        ]:
            sock = socket.socket(family, kind)
            sock.bind((address, port))
            if kind == socket.SOCK_STREAM:
                sock.listen()
            kept.append(sock)
        tell(said=tcp("5.5.5.5", 80, b"GET /a HTTP/1.0\\r\\n\\r\\n")[:12])
        tell(said=tcp("9.9.9.9", 8080, b"GET /b HTTP/1.0\\r\\n\\r\\n")[:12])
        tell(said=tcp("2606:4700::1", 443, b"GET /c HTTP/1.0\\r\\n\\r\\n", V6)[:12])
        udp("8.8.8.8", 123, b"mine?")
        tell(said=udp("9.9.9.9", 53, QUESTION, answer=True)[1])
        # Its own loopback is still its own.
        with socket.create_connection(("127.0.0.1", 80)):
            tell(said=kept[0].accept()[1][0])
    """)
    assert [one["said"] for one in told] == ["HTTP/1.1 503"] * 3 + ["9.9.9.9", "127.0.0.1"]
    assert pod.finish() == 0
    assert brief(pod.of("http"), "address") == [("5.5.5.5",), ("9.9.9.9",), ("2606:4700::1",)]
    assert brief(pod.of("udp"), "address") == [("8.8.8.8",)]


def test_the_sink_itself_is_found_and_says_so(pod: Pod):
    (told,) = pod.run("""
        found = []
        # Above are the ports of clients: there a socket may meet itself.
        for port in range(1024, 32768):
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", port)) == 0:
                    found.append(port)
        for port in found:
            udp("127.0.0.1", port, b"you?")
        refused = []
        for port in found:
            for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
                with socket.socket() as sock:
                    sock.setsockopt(socket.SOL_SOCKET, option, 1)
                    try:
                        sock.bind(("127.0.0.1", port))
                        sock.listen()
                    except OSError:
                        refused.append(port)
        tell(found=len(found), refused=len(refused))
    """)
    assert told == {"found": 1, "refused": 2}
    assert pod.finish() == 0
    texts = brief(pod.of("tamper"), "text")
    assert len(texts) == 2
    assert "connection" in texts[0][0]
    assert "datagram" in texts[1][0]


def test_nothing_leaves(pod: Pod):
    (told,) = pod.run("""
        import os
        routes = open("/proc/net/route").read().split("\\n")[1:]
        tell(interfaces=os.listdir("/sys/class/net"),
             through=sorted({line.split()[0] for line in routes if line}))
    """)
    assert told["interfaces"] == ["lo"]
    assert set(told["through"]) <= {"lo"}
    said = pod.docker("exec", pod.server, "ip", "route", "get", "8.8.8.8")
    assert said.startswith("local 8.8.8.8 dev lo ")
    # The server has no right to change any of it.
    changed = pod.run("""
        import subprocess
        for command in (["ip", "link", "set", "lo", "down"], ["nft", "flush", "ruleset"]):
            tell(code=subprocess.run(command, capture_output=True).returncode)
    """)
    assert all(one["code"] != 0 for one in changed)
    assert pod.finish() == 0


@pytest.mark.slow
def test_floods_are_survived_and_said(pod: Pod):
    (told,) = pod.run("""
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
        slow = []
        for _ in range(200):
            sock = socket.create_connection(("6.6.6.6", 80), 20)
            sock.send(b"GET / HTTP/1.1\\r\\nX: ")
            slow.append(sock)
        sent = 0
        try:
            with socket.create_connection(("5.5.5.5", 80), 20) as sock:
                sock.sendall(b"POST / HTTP/1.1\\r\\nContent-Length: 1000000000\\r\\n\\r\\n")
                for _ in range(1000):
                    sent += sock.send(bytes(10**6))
        except OSError:
            pass
        for _ in range(6000):
            socket.create_connection(("8.8.4.4", 443), 20).close()
        with socket.socket(V4, socket.SOCK_DGRAM) as sock:
            for number in range(30000):
                sock.sendto(bytes(1000), ("8.8.8.8", 1000 + number % 1000))
        tell(sent=sent, address=socket.gethostbyname("after.example"))
    """)
    assert told["sent"] < 50 * 2**20
    assert ipaddress.ip_address(told["address"]).is_global
    pod.tell(do="clock", id="still here")
    assert pod.until("clock")["id"] == "still here"
    assert pod.finish() == 0
    recorded = len(pod.of("http", "tcp", "udp", "dns"))
    assert 5_000 <= recorded <= 20_000
    assert "more than 5000 connections in all" in {one["text"] for one in pod.of("full")}
    assert pod.of("end")[0]["events"] > recorded


def test_pings_and_groups_are_seen(pod: Pod):
    pod.run("""
        with socket.socket(V4, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as sock:
            sock.sendto(b"\\x08\\0\\0\\0\\0\\1\\0\\1planted", ("8.8.8.8", 0))
        with socket.socket(V6, socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6) as sock:
            sock.sendto(b"\\x80\\0\\0\\0\\0\\1\\0\\1planted", ("2606:4700::1", 0))
        udp("224.0.0.251", 5353, b"who?")
        udp("ff02::fb", 5353, b"who6?", V6)
    """)
    assert pod.finish() == 0
    assert brief(pod.of("icmp"), "address") == [("8.8.8.8",), ("2606:4700::1",)]
    assert all(b"planted" in bytes.fromhex(one["first"]) for one in pod.of("icmp"))
    assert brief(pod.of("udp"), "address", "port", "size") == [
        ("224.0.0.251", 5353, 4),
        ("ff02::fb", 5353, 5),
    ]


@pytest.mark.parametrize("pod", [("--no-tproxy",)], indirect=True)
def test_a_kernel_without_tproxy_shows_as_much(pod: Pod):
    told = pod.run("""
        tell(said=tcp(socket.gethostbyname("a.example"), 80, b"GET /a HTTP/1.0\\r\\n\\r\\n")[:12])
        tell(said=tcp("2606:4700::1", 99, b"GET /c HTTP/1.0\\r\\n\\r\\n", V6)[:12])
        udp("8.8.8.8", 123, b"time?")
        udp("127.0.0.1", 123, b"mine")
        udp("2001:4860::1", 123, b"time6?", V6)
        tell(said=udp("9.9.9.9", 53, QUESTION, answer=True)[1])
    """)
    assert [one["said"] for one in told] == ["HTTP/1.1 503"] * 2 + ["9.9.9.9"]
    assert pod.finish() == 0
    assert brief(pod.of("http"), "host", "port") == [("a.example", 80), ("2606:4700::1", 99)]
    assert brief(pod.of("dns"), "name") == [("a.example",), ("secret.org",)]
    assert brief(pod.of("udp"), "address", "port") == [("8.8.8.8", 123), ("2001:4860::1", 123)]


@pytest.mark.parametrize("pod", [("--allow", "a.example")], indirect=True)
def test_a_wrong_command_line_is_said_where_events_are(pod: Pod):
    pod.until("end")
    assert pod.warden.wait(SECONDS) == 2
    assert "--egress" in pod.of("trouble")[0]["text"]
