"""Which folders a server was given, as its start says: aimed at by the probe, planted beside."""

from __future__ import annotations

from pathlib import Path

import pytest

from mcp_sandbox.model import ImageFacts, LaunchFacts
from mcp_sandbox.pipeline import learning
from mcp_sandbox.settings import load

NODE = ("node", "/app/dist/index.js")


@pytest.mark.parametrize(
    ("launch", "given", "folders"),
    [
        (LaunchFacts(NODE, ("/srv/allow",)), {}, ("/srv/allow",)),
        (LaunchFacts(NODE, ("/srv/a", "/srv/b/")), {}, ("/srv/a", "/srv/b")),
        (LaunchFacts((), ("/bin/server", "/srv/a")), {}, ("/srv/a",)),
        (LaunchFacts(("/bin/server",), ("--repository", "/srv/repo")), {}, ("/srv/repo",)),
        (LaunchFacts(("/bin/server", "--root=/srv/repo")), {}, ("/srv/repo",)),
        (LaunchFacts(("/bin/server",), ("/srv/a",)), {"args": ("/srv/b",)}, ("/srv/b",)),
        (LaunchFacts(NODE), {"env": ("ANY=/srv/a",)}, ("/srv/a",)),
        (LaunchFacts(NODE, environment=("ALLOWED_DIR=/srv/a",)), {}, ("/srv/a",)),
        (LaunchFacts(NODE, environment=("MCP_DATA_DIR=/data", "PATH=/usr/bin")), {}, ("/data",)),
        (LaunchFacts(NODE, environment=("HOME=/root", "PYTHONPATH=/lib", "X=1")), {}, ()),
        (LaunchFacts(NODE, ("--executable-path", "/usr/bin/chromium", "/srv/a")), {}, ("/srv/a",)),
        (LaunchFacts(NODE, ("/srv/bin", "/srv/bin/data/")), {}, ("/srv/bin", "/srv/bin/data")),
        (LaunchFacts(NODE, environment=("DATA_TOOL=/usr/sbin/tool",)), {}, ()),
        (LaunchFacts(NODE, ("/", "/etc/server.toml", "relative")), {}, ()),
        (LaunchFacts(), {}, ()),
    ],
)
def test_the_folders_of_a_start(
    launch: LaunchFacts, given: dict[str, object], folders: tuple[str, ...], tmp_path: Path
):
    settings = load({"image": "x", "out": tmp_path, **given})
    assert learning.folders(ImageFacts("x", "sha256:0", launch), settings) == folders
