"""The sandboxed example: no way out of its folder, and errors that give nothing away."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from support.example_servers import GREEN, Session, environment, stdio_session


def load(name: str) -> ModuleType:
    """Import a module of the example by its path: its folder is no package."""
    spec = importlib.util.spec_from_file_location(f"sandboxed_{name}", GREEN / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their own module up
    spec.loader.exec_module(module)
    return module


store_module = load("store")
transport = load("transport")
StoreError = store_module.StoreError

SECRET = "outside the folder"
AS_ROOT = os.geteuid() == 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def store(folder: Path) -> Iterator[Any]:
    opened = store_module.Store(str(folder))
    yield opened
    opened.close()


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A secret next door, in a folder whose name begins like ours."""
    neighbour = tmp_path / "data-evil"
    neighbour.mkdir()
    secret = neighbour / "secret.txt"
    secret.write_text(SECRET)
    return secret


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


class TestOrdinaryUse:
    @pytest.mark.parametrize("content", ["", "hello", "a\r\nb\n", "\0", "naïve 雪 🙂"])
    def test_reads_back_what_was_written(self, store: Any, content: str) -> None:
        store.write("note.txt", content)
        assert store.read("note.txt") == content

    def test_replaces_an_earlier_file(self, store: Any, folder: Path) -> None:
        store.write("note.txt", "a long first text")
        store.write("note.txt", "second")
        assert store.read("note.txt") == "second"
        assert names(folder) == ["note.txt"]

    def test_lists_by_name(self, store: Any) -> None:
        for name in ("b.txt", "a.txt"):
            store.write(name, "four")
        assert [(file.name, file.size) for file in store.files()] == [("a.txt", 4), ("b.txt", 4)]
        assert abs(store.files()[0].modified - time.time()) < 60

    def test_files_are_private(self, store: Any, folder: Path) -> None:
        store.write("note.txt", "x")
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "note.txt").stat().st_mode) == 0o600

    @pytest.mark.parametrize("name", ["a", "A.b-c_d.txt", "0", "x" * 100, "console.txt", "com"])
    def test_allowed_names(self, store: Any, name: str) -> None:
        store.write(name, "x")
        assert store.read(name) == "x"

    def test_whatever_may_be_written_may_be_read(self, store: Any) -> None:
        longest = "🙂" * store_module.MAX_CONTENT_CHARS
        store.write("note.txt", longest)
        assert store.read("note.txt") == longest


REFUSED_NAMES = {
    "empty": "",
    "dot": ".",
    "parent": "..",
    "relative": "../data-evil/secret.txt",
    "deep": "../../../../../../etc/passwd",
    "in the middle": "a/../../data-evil/secret.txt",
    "doubled": "....//....//etc/passwd",
    "absolute": "/etc/passwd",
    "sub-folder": "sub/note.txt",
    "trailing slash": "note.txt/",
    "backslash": "..\\data-evil\\secret.txt",
    "drive": "C:secret.txt",
    "share": "\\\\host\\share",
    "stream": "note.txt:hidden",
    "url": "file:///etc/passwd",
    "percent": "%2e%2e%2fdata-evil%2fsecret.txt",
    "percent twice": "%252e%252e%252fsecret.txt",
    "overlong utf-8": "%c0%ae%c0%ae%c0%afsecret.txt",
    "html": "&#46;&#46;/secret.txt",
    "nul": "note.txt\0.png",
    "newline": "note.txt\n",
    "carriage return": "note\r.txt",
    "escape": "note\x1b[31m.txt",
    "space": "my note.txt",
    "leading space": " note.txt",
    "tab": "\tnote.txt",
    "hidden": ".env",
    "partial": ".partial-0123456789abcdef",
    "leading dash": "-rf",
    "final dot": "note.",
    "two dots": "a..b",
    "home": "~",
    "variable": "$HOME",
    "glob": "*",
    "full width dots": "．．",
    "fraction slash": "a⁄b",
    "full width slash": "a／b",
    "one dot leader": "․․",
    "cyrillic a": "nаte.txt",
    "full width letters": "ｎｏｔｅ.txt",
    "kelvin sign": "\u212aey.txt",
    "dotless i": "f\u0131le.txt",
    "long s": "\u017fecret.txt",
    "decomposed": "cafe\u0301.txt",
    "arabic digit": "note\u0661.txt",
    "right to left": "note\u202etxt.exe",
    "zero width": "no\u200bte.txt",
    "lone surrogate": "note\udc80.txt",
    "too long": "x" * 101,
    "far too long": "x" * 1_000_000,
    "device": "con",
    "device in capitals": "NUL",
    "device with an ending": "Aux.txt",
    "device with two endings": "lpt1.tar.gz",
    "port": "COM9",
}


@pytest.mark.parametrize("name", REFUSED_NAMES.values(), ids=REFUSED_NAMES.keys())
@pytest.mark.usefixtures("outside")
class TestRefusedNames:
    def test_read(self, store: Any, name: str) -> None:
        with pytest.raises(StoreError) as refusal:
            store.read(name)
        assert str(refusal.value) == "The file name is not allowed."

    def test_write(self, store: Any, folder: Path, tmp_path: Path, name: str) -> None:
        with pytest.raises(StoreError) as refusal:
            store.write(name, "x")
        assert str(refusal.value) == "The file name is not allowed."
        assert names(folder) == []
        assert names(tmp_path) == ["data", "data-evil"]


def test_a_different_case_is_a_different_file(store: Any) -> None:
    store.write("note.txt", "small")
    with pytest.raises(StoreError, match="no such file"):
        store.read("NOTE.TXT")


def make_symlink(path: Path, target: Path) -> None:
    path.symlink_to(target)


def make_relative_symlink(path: Path, target: Path) -> None:
    path.symlink_to(Path("..") / target.parent.name / target.name)


def make_dangling_symlink(path: Path, target: Path) -> None:
    path.symlink_to(target.with_name("not-there-yet"))


def make_folder_symlink(path: Path, target: Path) -> None:
    path.symlink_to(target.parent)


def make_self_symlink(path: Path, _target: Path) -> None:
    path.symlink_to(path.name)


def make_proc_symlink(path: Path, _target: Path) -> None:
    path.symlink_to("/proc/self/environ")


def make_hard_link(path: Path, target: Path) -> None:
    path.hardlink_to(target)


def make_fifo(path: Path, _target: Path) -> None:
    os.mkfifo(path)


def make_folder(path: Path, _target: Path) -> None:
    path.mkdir()


def make_socket(path: Path, _target: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        # By a relative name: the absolute one may be longer than a socket's address can be.
        before = Path.cwd()
        os.chdir(path.parent)
        try:
            server.bind(path.name)
        finally:
            os.chdir(before)


def make_device(path: Path, _target: Path) -> None:
    if not AS_ROOT:
        pytest.skip("only root can make a device")
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero: it never ends
    except PermissionError:
        pytest.skip("this machine lets nobody make a device")


TRAPS = [
    make_symlink,
    make_relative_symlink,
    make_dangling_symlink,
    make_folder_symlink,
    make_self_symlink,
    make_proc_symlink,
    make_hard_link,
    make_fifo,
    make_folder,
    make_socket,
    make_device,
]


@pytest.mark.parametrize("make", TRAPS)
@pytest.mark.timeout(20)
class TestTraps:
    """Something that is no plain file lies in the folder under a name that is allowed."""

    def test_is_not_read(
        self, store: Any, folder: Path, outside: Path, make: Callable[[Path, Path], None]
    ) -> None:
        make(folder / "trap", outside)
        with pytest.raises(StoreError) as refusal:
            store.read("trap")
        # The very words of a file that is missing: no oracle for what else is there.
        assert str(refusal.value) == "There is no such file."

    def test_is_not_read_when_swapped_in_after_the_check(
        self,
        store: Any,
        folder: Path,
        outside: Path,
        make: Callable[[Path, Path], None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        store.write("note.txt", "harmless")
        harmless = (folder / "note.txt").stat()
        make(folder / "trap", outside)
        monkeypatch.setattr(store, "_status", lambda _name: harmless)
        with pytest.raises(StoreError):
            store.read("trap")

    def test_is_not_written(
        self, store: Any, folder: Path, outside: Path, make: Callable[[Path, Path], None]
    ) -> None:
        make(folder / "trap", outside)
        with pytest.raises(StoreError, match="name is taken"):
            store.write("trap", "overwritten")
        assert outside.read_text() == SECRET
        assert names(folder) == ["trap"]

    def test_is_not_written_through_when_swapped_in_after_the_check(
        self,
        store: Any,
        folder: Path,
        outside: Path,
        make: Callable[[Path, Path], None],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        make(folder / "trap", outside)
        monkeypatch.setattr(store, "_status", lambda _name: None)
        if make is make_folder:
            with pytest.raises(StoreError):
                store.write("trap", "overwritten")
        else:
            store.write("trap", "overwritten")  # the entry is replaced, its target is not
            assert stat.S_ISREG((folder / "trap").lstat().st_mode)
        assert outside.read_text() == SECRET
        assert names(outside.parent) == ["secret.txt"]
        assert names(folder) == ["trap"]

    def test_is_not_listed(
        self, store: Any, folder: Path, outside: Path, make: Callable[[Path, Path], None]
    ) -> None:
        store.write("note.txt", "x")
        make(folder / "trap", outside)
        assert [file.name for file in store.files()] == ["note.txt"]


@pytest.mark.timeout(60)
def test_a_racing_swap_never_leads_outside(store: Any, folder: Path, outside: Path) -> None:
    """The same race for real: a name flips between a file and a link while it is read."""
    done = threading.Event()

    def flip() -> None:
        while not done.is_set():
            (folder / ".new").write_text("inside")
            (folder / ".new").rename(folder / "flip")
            (folder / ".new").symlink_to(outside)
            (folder / ".new").rename(folder / "flip")

    read = refused = 0
    flipper = threading.Thread(target=flip)
    flipper.start()
    try:
        while read < 200 or refused < 200:
            try:
                assert store.read("flip") == "inside"
                read += 1
            except StoreError:
                refused += 1
    finally:
        done.set()
        flipper.join()


class TestTheFolderItself:
    def test_a_link_is_refused(self, folder: Path, outside: Path) -> None:
        folder.symlink_to(outside.parent)
        with pytest.raises(StoreError) as refusal:
            store_module.Store(str(folder))
        assert str(refusal.value) == "The data folder cannot be opened."

    def test_a_file_is_refused(self, outside: Path) -> None:
        with pytest.raises(StoreError, match="cannot be opened"):
            store_module.Store(str(outside))

    def test_a_missing_parent_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="cannot be opened"):
            store_module.Store(str(tmp_path / "no" / "data"))

    def test_one_that_anyone_may_write_to_is_refused(self, folder: Path) -> None:
        folder.mkdir()
        folder.chmod(0o777)
        with pytest.raises(StoreError, match="anyone may write"):
            store_module.Store(str(folder))

    @pytest.mark.skipif(not AS_ROOT, reason="only root can give a folder away")
    def test_one_of_somebody_else_is_refused(self, folder: Path) -> None:
        folder.mkdir()
        os.chown(folder, 12345, 12345)
        with pytest.raises(StoreError, match="somebody else"):
            store_module.Store(str(folder))

    def test_swapping_it_afterwards_changes_nothing(
        self, store: Any, folder: Path, outside: Path
    ) -> None:
        moved = folder.with_name("moved")
        folder.rename(moved)
        folder.symlink_to(outside.parent)
        store.write("secret.txt", "mine")
        assert outside.read_text() == SECRET
        assert (moved / "secret.txt").read_text() == "mine"
        assert store.read("secret.txt") == "mine"


class TestLimits:
    def test_content_too_large(self, store: Any, folder: Path) -> None:
        with pytest.raises(StoreError, match="content is too large"):
            store.write("note.txt", "x" * (store_module.MAX_CONTENT_CHARS + 1))
        assert names(folder) == []

    def test_content_that_is_no_text(self, store: Any, folder: Path) -> None:
        with pytest.raises(StoreError, match="not valid text"):
            store.write("note.txt", "\udc80")
        assert names(folder) == []

    @pytest.mark.parametrize("excess", [1, 10_000_000])
    def test_file_too_large(self, store: Any, folder: Path, excess: int) -> None:
        with (folder / "big").open("wb") as file:
            file.truncate(store_module.MAX_FILE_BYTES + excess)
        with pytest.raises(StoreError, match="file is too large"):
            store.read("big")

    def test_largest_file(self, store: Any, folder: Path) -> None:
        (folder / "big").write_bytes(b"x" * store_module.MAX_FILE_BYTES)
        assert len(store.read("big")) == store_module.MAX_FILE_BYTES

    def test_file_that_is_no_text(self, store: Any, folder: Path) -> None:
        (folder / "image").write_bytes(b"\xff\xd8\xff")
        with pytest.raises(StoreError, match="not UTF-8"):
            store.read("image")

    def test_too_many_files(self, store: Any, folder: Path) -> None:
        for number in range(store_module.MAX_FILES):
            store.write(f"file-{number}", "x")
        with pytest.raises(StoreError, match="full"):
            store.write("one-more", "x")
        store.write("file-0", "an existing one may still change")
        assert len(names(folder)) == store_module.MAX_FILES

    def test_what_is_hidden_counts_too(self, store: Any, folder: Path) -> None:
        for number in range(store_module.MAX_FILES):
            (folder / f".hidden-{number}").touch()
        with pytest.raises(StoreError, match="full"):
            store.write("note.txt", "x")

    def test_the_listing_is_bounded(self, store: Any, folder: Path) -> None:
        for number in range(store_module.MAX_FILES + 5):
            (folder / f"file-{number:03}").touch()
        assert len(store.files()) == store_module.MAX_FILES

    def test_many_writers_at_once_keep_the_limit(self, store: Any, folder: Path) -> None:
        def attempt(number: int) -> bool:
            try:
                store.write(f"file-{number}", "x")
            except StoreError:
                return False
            return True

        with ThreadPoolExecutor(16) as pool:
            written = sum(pool.map(attempt, range(store_module.MAX_FILES + 50)))
        assert written == len(names(folder)) == store_module.MAX_FILES


class TestPartialWrites:
    @pytest.mark.parametrize("step", ["_write_all", "os.fsync", "os.rename"])
    def test_a_failure_leaves_the_old_file_and_nothing_else(
        self, store: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        def fail(*_args: Any, **_kwargs: Any) -> None:
            raise OSError(28, "No space left on device", str(folder))

        store.write("note.txt", "old")
        with monkeypatch.context() as patch:
            if step.startswith("os."):
                patch.setattr(store_module.os, step.removeprefix("os."), fail)
            else:
                patch.setattr(store_module, step, fail)
            with pytest.raises(StoreError) as refusal:
                store.write("note.txt", "new")
        assert str(refusal.value) == "The file could not be stored."
        assert refusal.value.__cause__ is None
        assert store.read("note.txt") == "old"
        assert names(folder) == ["note.txt"]

    def test_short_writes_are_continued(self, store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        write = os.write
        monkeypatch.setattr(store_module.os, "write", lambda fd, data: write(fd, data[:3]))
        store.write("note.txt", "0123456789")
        assert store.read("note.txt") == "0123456789"

    def test_leftovers_go_at_the_next_start_unless_they_are_young(self, folder: Path) -> None:
        folder.mkdir(0o700)
        old, young = folder / ".partial-old", folder / ".partial-young"
        for leftover in (old, young):
            leftover.touch()
        os.utime(old, (0, 0))
        store_module.Store(str(folder)).close()
        assert names(folder) == [".partial-young"]

    def test_check_leaves_nothing(self, store: Any, folder: Path) -> None:
        store.check()
        assert names(folder) == []

    def test_check_notices_a_folder_that_is_gone(self, store: Any, folder: Path) -> None:
        folder.rmdir()
        with pytest.raises(StoreError, match="not usable"):
            store.check()


class TestTransport:
    @pytest.mark.parametrize(
        ("settings", "port"),
        [
            ({}, None),
            ({"MCP_TRANSPORT": ""}, None),
            ({"MCP_TRANSPORT": "stdio"}, None),
            ({"MCP_TRANSPORT": "stdio", "MCP_PORT": "3123"}, None),
            ({"MCP_TRANSPORT": "http"}, 3123),
            ({"MCP_TRANSPORT": "sse"}, 3123),
            ({"MCP_PORT": "8000"}, 8000),
            ({"MCP_TRANSPORT": "http", "MCP_PORT": "65535"}, 65535),
        ],
    )
    def test_choice(self, settings: dict[str, str], port: int | None) -> None:
        assert transport.http_port(settings) == port

    @pytest.mark.parametrize(
        "settings",
        [
            {"MCP_TRANSPORT": "websocket"},
            {"MCP_PORT": "0"},
            {"MCP_PORT": "65536"},
            {"MCP_PORT": "-1"},
            {"MCP_PORT": "http"},
            {"MCP_PORT": "٣١٢٣"},
        ],
    )
    def test_refusal(self, settings: dict[str, str]) -> None:
        with pytest.raises(transport.TransportError):
            transport.http_port(settings)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with stdio_session(GREEN, tmp_path_factory.mktemp("green") / "data") as opened:
        yield opened


MARK = "SENTINEL"


class TestOverStdio:
    def test_tools_work(self, session: Session) -> None:
        assert (
            session.text("safe_write_file", filename="note.txt", content="héllo")
            == "Wrote 5 characters."
        )
        assert session.text("safe_read_file", filename="note.txt") == "héllo"
        listing = session.call("list_files")["structuredContent"]["files"]
        assert [(file["name"], file["size"]) for file in listing] == [("note.txt", 6)]

    def test_the_resource_works(self, session: Session) -> None:
        contents = session.request("resources/read", uri="health://status")["result"]["contents"]
        assert contents[0]["text"] == "Server is healthy"

    def test_schemas_are_tight_and_annotations_true(self, session: Session) -> None:
        tools = {tool["name"]: tool for tool in session.request("tools/list")["result"]["tools"]}
        assert set(tools) == {"safe_write_file", "safe_read_file", "list_files"}
        for tool in tools.values():
            schema = tool["inputSchema"]
            assert schema["additionalProperties"] is False
            assert all("maxLength" in field for field in schema["properties"].values())
            assert tool["annotations"]["openWorldHint"] is False
            assert tool["annotations"]["readOnlyHint"] is (tool["name"] != "safe_write_file")
        filename = tools["safe_read_file"]["inputSchema"]["properties"]["filename"]
        assert filename["pattern"] == store_module.NAME_PATTERN

    @pytest.mark.parametrize(
        ("tool", "arguments"),
        [
            ("safe_read_file", {"filename": f"../{MARK}"}),
            ("safe_read_file", {"filename": f"/etc/{MARK}"}),
            ("safe_read_file", {"filename": MARK}),
            ("safe_read_file", {"filename": f"nul.{MARK}"}),
            ("safe_read_file", {"filename": MARK * 100}),
            ("safe_read_file", {"filename": {MARK: MARK}}),
            ("safe_read_file", {"filename": None}),
            ("safe_read_file", {MARK: MARK}),
            ("safe_read_file", {"filename": "note.txt", MARK: MARK}),
            ("safe_write_file", {"filename": MARK}),
            ("safe_write_file", {"filename": "note.txt", "content": MARK * 2000}),
            ("list_files", {MARK: MARK}),
        ],
    )
    def test_refusals_give_nothing_away(
        self, session: Session, tool: str, arguments: dict[str, Any]
    ) -> None:
        refusal = session.refusal(tool, **arguments)
        assert MARK not in refusal
        assert "/" not in refusal
        assert "Traceback" not in refusal
        assert "pydantic" not in refusal
        assert len(refusal) < 100

    @pytest.mark.parametrize(
        ("method", "params"),
        [
            ("tools/call", {"name": MARK, "arguments": {}}),
            ("tools/call", {MARK: MARK}),
            ("resources/read", {"uri": f"file:///etc/{MARK}"}),
            ("resources/read", {"uri": f"health://{MARK}"}),
            ("prompts/get", {"name": MARK}),
            (f"{MARK}/list", {}),
        ],
    )
    def test_errors_repeat_nothing(
        self, session: Session, method: str, params: dict[str, Any]
    ) -> None:
        error = session.request(method, **params)["error"]
        assert MARK not in json.dumps(error)

    def test_it_is_still_there_afterwards(self, session: Session) -> None:
        assert session.request("ping")["result"] == {}


class TestStartAndStop:
    def start(self, data: Path, **settings: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, str(GREEN / "server.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(data, **settings),
        )

    @pytest.mark.parametrize(
        "settings", [{"MCP_TRANSPORT": "websocket"}, {"MCP_DATA_DIR": "/dev/null"}]
    )
    def test_a_wrong_setting_is_told_in_a_line(
        self, tmp_path: Path, settings: dict[str, str]
    ) -> None:
        with self.start(tmp_path / "data", **settings) as process:
            output, errors = process.communicate(timeout=30)
        assert process.returncode == 2
        assert output == b""
        assert len(errors.splitlines()) == 1

    def test_sigterm_ends_it_although_stdin_is_open(self, tmp_path: Path) -> None:
        with self.start(tmp_path / "data") as process:
            Session(process).request(
                "initialize",
                protocolVersion="2025-11-25",
                capabilities={},
                clientInfo={"name": "test", "version": "1"},
            )
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=10) == 0

    @pytest.mark.timeout(60)
    def test_http_checks_who_asks(self, tmp_path: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        settings = {"MCP_PORT": str(port)}
        with self.start(tmp_path / "data", **settings) as process:
            try:
                deadline = time.monotonic() + 30
                while (code := health(tmp_path, **settings)) and time.monotonic() < deadline:
                    assert process.poll() is None
                assert code == 0
                assert post(port) == 200
                assert post(port, Host="evil.example") == 421
                assert post(port, Origin="http://evil.example") == 403
            finally:
                process.terminate()
            output, _ = process.communicate(timeout=30)
        assert output == b""  # what it has to say goes to stderr
        assert health(tmp_path, **settings) == 1

    def test_health_over_stdio_looks_for_the_process(self, tmp_path: Path) -> None:
        # A copy, because other tests have servers of the original running.
        copy = Path(shutil.copytree(GREEN, tmp_path / "copy"))
        assert health(tmp_path, copy) == 1
        with stdio_session(copy, tmp_path / "data"):
            assert health(tmp_path, copy) == 0
        assert health(tmp_path, copy) == 1


def health(data: Path, folder: Path = GREEN, **settings: str) -> int:
    """Run the health check as the engine does and return its exit code."""
    command = [sys.executable, str(folder / "healthcheck.py")]
    return subprocess.run(
        command, env=environment(data, **settings), check=False, timeout=30
    ).returncode


def post(port: int, **headers: str) -> int:
    """Send the opening message over HTTP and return the status of the answer."""
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25",
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        },
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(
            "POST",
            "/mcp",
            json.dumps(message),
            {
                "Content-Type": "application/json",
                "Accept": "application/json, text/event-stream",
                **headers,
            },
        )
        return connection.getresponse().status
    finally:
        connection.close()
