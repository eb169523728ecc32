"""A certificate authority for one run: a certificate for whatever name a TLS client asks for.

The keys live in a folder of their own, which is to be in memory, and as long as the process. The
``openssl`` program makes them: the standard library has no X.509. A name reaches it only after
``endpoints.host`` took it, so only ``[a-z0-9._-]`` or an address stands in its configuration, and
never on its command line. All leaves share one key; each costs one start of the program.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import ssl
import subprocess
import tempfile
import threading
from pathlib import Path

from mcp_sandbox import endpoints

MAX_NAMES = 500
"""Certificates of one run. Later names share one that no client should accept."""
DAYS = 2
"""Validity of everything; no run is that long."""
SHARED = "too-many-names.invalid"
"""The name in the certificate that later names share (RFC 2606)."""

_TIMEOUT = 20.0
_PATH = "/usr/local/bin:/usr/bin:/bin"

_CA_CONFIG = """\
[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
O = mcp-sandbox
CN = mcp-sandbox run-local authority
[extensions]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
"""

# The subject names nothing: it may hold 64 characters only, and clients read subjectAltName.
_LEAF_CONFIG = """\
[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
O = mcp-sandbox sink
[extensions]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always
subjectAltName = critical, @names
[names]
{kind}.1 = {name}
"""


class AuthorityFailed(Exception):
    """The openssl program is missing, failed or hung; the message holds its last words."""


class Authority:
    """Mints on demand and remembers. May be used from several threads; a minting blocks."""

    def __init__(self, folder: Path, *, most: int = MAX_NAMES) -> None:
        """Make it in a new folder (0700) below ``folder``. Raises ``AuthorityFailed``."""
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="authority-", dir=folder))
        except OSError as error:
            raise AuthorityFailed(f"no folder for the authority: {error}") from error
        self._most = most
        self._lock = threading.Lock()
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._shared: ssl.SSLContext | None = None
        try:
            for name in ("ca.key", "leaf.key"):
                self._openssl(
                    "genpkey",
                    "-algorithm",
                    "EC",
                    "-pkeyopt",
                    "ec_paramgen_curve:P-256",
                    "-out",
                    name,
                )
            self._write("ca.cnf", _CA_CONFIG)
            self._openssl(
                "req",
                "-x509",
                "-new",
                "-sha256",
                "-days",
                str(DAYS),
                "-key",
                "ca.key",
                "-config",
                "ca.cnf",
                "-out",
                "ca.pem",
            )
            self.ca_pem = (self._folder / "ca.pem").read_bytes()
        except BaseException:
            self.close()
            raise

    @property
    def full(self) -> bool:
        """Whether some name had to make do with the shared certificate."""
        return self._shared is not None

    def context_for(self, name: str) -> ssl.SSLContext:
        """A server's context with a certificate for this name or address, HTTP/1.1 only.

        Raises ``ValueError`` for what is neither, ``AuthorityFailed`` when none can be made.
        """
        checked = endpoints.host(name)
        with self._lock:
            known = self._contexts.get(checked)
            if known is not None:
                return known
            if len(self._contexts) < self._most:
                return self._contexts.setdefault(checked, self._mint(checked))
            if self._shared is None:
                self._shared = self._mint(SHARED)
            return self._shared

    def close(self) -> None:
        """Remove the keys; contexts that were handed out stay usable."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _mint(self, name: str) -> ssl.SSLContext:
        kind = "DNS" if endpoints.address(name) is None else "IP"
        self._write("leaf.cnf", _LEAF_CONFIG.format(kind=kind, name=name))
        self._openssl("req", "-x509", "-new", "-sha256", "-days", str(DAYS), "-key", "leaf.key",
                      "-CA", "ca.pem", "-CAkey", "ca.key", "-config", "leaf.cnf",
                      "-out", "leaf.pem")  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_alpn_protocols(["http/1.1"])
        # Nothing is resumed: every connection shows its client hello, and no state is kept.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
        try:
            context.load_cert_chain(self._folder / "leaf.pem", self._folder / "leaf.key")
        except (ssl.SSLError, OSError) as error:
            raise AuthorityFailed(f"the certificate for {name} cannot be used: {error}") from error
        return context

    def _write(self, name: str, text: str) -> None:
        try:
            (self._folder / name).write_text(text, encoding="ascii")
        except OSError as error:
            raise AuthorityFailed(f"the authority cannot write {name}: {error}") from error

    def _openssl(self, *arguments: str) -> None:
        try:
            done = subprocess.run(  # noqa: S603 - a list, never a shell
                ["openssl", *arguments],  # noqa: S607 - found on the fixed PATH below
                cwd=self._folder,
                env={"PATH": _PATH, "HOME": str(self._folder)},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_TIMEOUT,
                check=False,
                umask=0o077,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise AuthorityFailed(f"openssl {arguments[0]}: {error}") from error
        if done.returncode != 0:
            said = done.stderr[-500:].decode("utf-8", "replace").strip()
            raise AuthorityFailed(f"openssl {arguments[0]} ended with {done.returncode}: {said}")


def publish(authority: Authority, folder: Path, name: str = "ca.pem") -> Path:
    """Put the authority's certificate where the server's container can read it (0644).

    Call it before ``ready`` is printed. The file appears at once and whole. Raises
    ``AuthorityFailed``.
    """
    target = folder / name
    half = folder / f".{name}.{os.getpid()}"
    try:
        half.write_bytes(authority.ca_pem)
        half.chmod(0o644)
        half.replace(target)
    except OSError as error:
        with contextlib.suppress(OSError):
            half.unlink()
        raise AuthorityFailed(
            f"the authority's certificate cannot be published: {error}"
        ) from error
    return target
