"""A git host on loopback, by TLS with a certificate of its own: ``git http-backend`` behind it."""

from __future__ import annotations

import os
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

AUTHOR = ("-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false")
REFUSED = {"/private.git": 401, "/forbidden.git": 403}
"""Answers by the start of a path: one asks for a password, one has none to ask for."""


@dataclass(frozen=True)
class Host:
    """One that runs."""

    address: str
    """``https://127.0.0.1:PORT``."""
    certificate: Path
    folder: Path
    """Holds the bare repositories."""
    asked: list[str]
    """Request lines."""

    def publish(self, name: str, work: Path) -> str:
        """Make all of a folder one commit of a bare repository; returns the commit's id."""
        bare = self.folder / name
        git(self.folder, "init", "--quiet", "--bare", "--initial-branch", "main", str(bare))
        git(work, "init", "--quiet", "--initial-branch", "main")
        git(work, "add", "--all", "--force")
        git(work, *AUTHOR, "commit", "--quiet", "--message", "one")
        git(work, "tag", "v1")
        git(work, "push", "--quiet", "--tags", str(bare), "main")
        return git(work, "rev-parse", "HEAD").strip()


def git(folder: Path, *arguments: str) -> str:
    """Run git without this machine's configuration."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout


@contextmanager
def running(folder: Path) -> Iterator[Host]:
    """Serve the bare repositories of ``folder / "repositories"``."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    repositories = folder / "repositories"
    repositories.mkdir()
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.requestline)
            path, _, query = self.path.partition("?")
            refused = next((REFUSED[start] for start in REFUSED if path.startswith(start)), None)
            if refused is not None:
                self.send_response(refused)
                if refused == 401:
                    self.send_header("WWW-Authenticate", 'Basic realm="x"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            done = subprocess.run(
                ["git", "http-backend"],
                input=body,
                capture_output=True,
                check=False,
                env={
                    "PATH": os.environ["PATH"],
                    "GIT_PROJECT_ROOT": str(repositories),
                    "GIT_HTTP_EXPORT_ALL": "1",
                    "GIT_CONFIG_NOSYSTEM": "1",
                    "GIT_CONFIG_COUNT": "1",
                    "GIT_CONFIG_KEY_0": "safe.directory",
                    "GIT_CONFIG_VALUE_0": "*",
                    "PATH_INFO": path,
                    "QUERY_STRING": query,
                    "REQUEST_METHOD": self.command,
                    "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                    "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                    "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                    "CONTENT_LENGTH": str(len(body)),
                },
            )
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            fields = [line.partition(": ") for line in head.decode().split("\r\n")]
            status = next((value for name, _, value in fields if name == "Status"), "200 OK")
            self.send_response(int(status.split()[0]))
            for name, _, value in fields:
                if name != "Status":
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815 - the library's name

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        address = f"https://127.0.0.1:{server.server_address[1]}"
        yield Host(address, certificate, repositories, asked)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
