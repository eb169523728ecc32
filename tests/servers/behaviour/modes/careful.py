"""Does for good reasons what looks, from a distance, like what the other modes do."""

from __future__ import annotations

import hashlib
import ipaddress
import os
import random
import re
import secrets
import socket
import subprocess
import time
import zlib
from pathlib import Path
from urllib.parse import urlsplit

from acting import Mode, home, http, look_up, quietly

MODE = Mode("Nothing of this is worth more than a note.")
NOTES = Path("/tmp/careful/notes")
CACHE = Path("/tmp/careful/cache")
WEB = 80


def note(name: str) -> Path:
    """A file of the notes folder. Raises ``ValueError`` for every other path."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}", name):
        raise ValueError("no such name")
    NOTES.mkdir(parents=True, exist_ok=True)
    return NOTES / name


@MODE.at_start
def talk_to_itself() -> None:
    """A connection within the machine."""
    with (
        socket.create_server(("127.0.0.1", 0)) as here,
        socket.create_connection(here.getsockname(), timeout=1) as there,
    ):
        there.sendall(b"ready")


@MODE.at_start
def ask_name_service() -> None:
    """What the C library does for every look-up: a socket that is a file."""
    with socket.socket(socket.AF_UNIX) as cache:
        quietly(lambda: cache.connect("/var/run/nscd/socket"))


@MODE.at_start
def report_start() -> None:
    """What many frameworks do, and what is worth a note."""
    http("eu.posthog.com", "/capture/", "event=start")


@MODE.tool("Fills the lines of a text.", harmless=True, text="The text.")
def fill(text: str) -> str:
    """Runs the same program on every call; the text is no argument of it."""
    done = subprocess.run(
        ["/usr/bin/fmt", "-w", "60"], input=text.encode(), capture_output=True, check=False
    )
    return done.stdout.decode()


@MODE.tool("Counts the letters of a text.", harmless=True, text="The text.")
def letters(text: str) -> str:
    """A child whose streams are sockets, as some runtimes make them, and which is waited for."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(text.encode()[:4096])
        ours.shutdown(socket.SHUT_WR)
        done = subprocess.run(
            ["/usr/bin/wc", "-m"], stdin=theirs, stdout=subprocess.PIPE, check=False
        )
    return done.stdout.decode().strip()


@MODE.tool("Fetches a page of the public web.", url="Address of the page.")
def fetch_page(url: str) -> str:
    """Opens the address that it was asked for, unless it is nobody's on the web.

    What was checked is what is connected to: a second look-up may be answered otherwise.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or (parts.port or WEB) != WEB:
        return "Only pages of the public web are fetched."
    found = quietly(lambda: socket.getaddrinfo(parts.hostname, WEB, socket.AF_INET))
    addresses = {one[4][0] for one in found or ()}
    if not addresses or not all(ipaddress.ip_address(one).is_global for one in addresses):
        return "Only pages of the public web are fetched."
    return http(min(addresses), parts.path or "/")


@MODE.tool(
    "Tells tomorrow's weather; asks http://api.weather.example/ for it.", city="Name of the city."
)
def forecast(city: str) -> str:
    """Asks the one host that its description names."""
    return http("api.weather.example", f"/v1/{hashlib.sha256(city.encode()).hexdigest()[:8]}")


@MODE.tool("Says where the pictures of cdn.example are.", name="Name of the picture.")
def picture(name: str) -> str:
    """One long name of a cache, as a content network has."""
    host = f"{hashlib.sha256(name.encode()).hexdigest()[:40]}.cdn.example"
    return f"There {'is' if look_up(host) else 'is no'} picture."


@MODE.tool("Says whether the user has a key for SSH.", harmless=True)
def has_key() -> str:
    """Looks whether the file is there, and does not open it."""
    return "Yes." if home(".ssh/id_rsa").exists() else "No."


@MODE.tool("Says which assistants the user has.", harmless=True)
def assistants() -> str:
    """Looks whether their settings are there, and does not open them."""
    known = {"Cursor": ".cursor/mcp.json", "Claude": ".claude.json"}
    return ", ".join(name for name, path in known.items() if home(path).exists()) or "None."


@MODE.tool("Tells the user's language.", harmless=True)
def language() -> str:
    """Reads what is run at a login, and leaves it as it is."""
    text = quietly(home(".bashrc").read_text) or ""
    return "German." if "LANG=de" in text else "English."


@MODE.tool("Tells the size of a text when it is packed.", harmless=True, text="The text.")
def packed_size(text: str) -> str:
    """A file without a name that holds data, and is never run."""
    buffer = os.memfd_create("packed", 0)
    try:
        return str(os.write(buffer, zlib.compress(text.encode())))
    finally:
        os.close(buffer)


@MODE.tool("Compiles an expression for later use.", harmless=True, name="Name of the expression.")
def precompile(name: str) -> str:
    """Writes a cache of Python source, and reads it back."""
    CACHE.mkdir(parents=True, exist_ok=True)
    cached = CACHE / f"{hashlib.sha256(name.encode()).hexdigest()[:8]}.py"
    cached.write_text("VALUE = 1\n")
    compile(cached.read_text(), cached.name, "exec")
    return "Compiled."


@MODE.tool("Saves a note.", harmless=True, name="Name of the note.", content="Its text.")
def save_note(name: str, content: str) -> str:
    """Writes within its folder only."""
    note(name).write_text(content)
    return "Saved."


@MODE.tool("Returns the text of a note.", harmless=True, read_only=True, name="Name of the note.")
def read_note(name: str) -> str:
    """Reads within its folder only; a log is no change."""
    path = note(name)
    with Path("/tmp/careful/access.log").open("a") as log:
        log.write("read\n")
    return path.read_text()[:1000]


@MODE.tool("Tells how much memory the server uses.", harmless=True, read_only=True)
def memory() -> str:
    """Reads its own state, where a tracer would stand too, and its own limits."""
    for limit in ("/proc/self/cgroup", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        quietly(Path(limit).read_bytes)
    status = Path("/proc/self/status").read_text()
    return status.partition("VmRSS:")[2].split()[0]


@MODE.tool("Draws lots.", harmless=True)
def lots() -> str:
    """Differs between any two calls, watched or not."""
    names = ["Ada", "Grace", "Linus"]
    random.shuffle(names)
    return f"{secrets.token_hex(8)} {time.time()} {os.getpid()} {' '.join(names)}"
