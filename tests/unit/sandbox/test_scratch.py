"""Which folder in memory a path belongs to, and what is unpacked there."""

from __future__ import annotations

import io
import tarfile

import pytest

from mcp_sandbox.sandbox import scratch

VOLUMES = ("/home/app", "/home/app/.cache/", "/tmp", "/dev/mine", "/")


@pytest.mark.parametrize(
    ("path", "mount"),
    [
        ("/home/app/.ssh/id_rsa", "/home/app"),
        ("/home/app/.cache/x", "/home/app/.cache"),
        ("/home/app/folder/", "/home/app"),
        ("/home/app", ""),
        ("/home/apple/x", ""),
        ("/home/app/../x", ""),
        ("/home/app/a\0b", ""),
        ("/tmp/x", ""),
        ("/dev/mine/x", ""),
        ("/etc/passwd", ""),
    ],
)
def test_the_innermost_volume_holds_a_path(path: str, mount: str):
    assert scratch.mount_of(path, VOLUMES) == mount


def test_a_tar_is_relative_to_its_mount_and_all_of_it_is_the_owners():
    data = scratch.packed({"/home/app/a/b": b"x", "/home/app/empty/": b""}, (7, 8), "/home/app")
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found = [(one.name, one.isdir(), one.uid, one.gid) for one in tar]
    assert found == [("a", True, 7, 8), ("a/b", False, 7, 8), ("empty", True, 7, 8)]
