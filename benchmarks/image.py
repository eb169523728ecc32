"""How large the action's image is, and what takes the room.

    python benchmarks/image.py [IMAGE]

IMAGE is built when none is named. Sizes are in MB (10^6 bytes); compressed is what gzip -6 makes of
it, alone, so that the parts add up to about the whole and not exactly. The goal is for a download
of at most 350 MB.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
GOAL = 350.0
PARTS = {
    "opt/scanners/bin/trivy": "Trivy",
    "opt/scanners/bin/trufflehog": "TruffleHog",
    "opt/scanners/python/bin/hadolint": "Hadolint",
    "opt/scanners/python/lib": "Semgrep",
    "opt/scanners": "scanners, the rest",
    "opt/mcp-sandbox": "mcp-sandbox and its Python packages, tracer",
    "usr/libexec/docker": "docker-buildx",
    "usr/bin/docker": "docker-cli",
    "usr/lib/git-core": "git",
    "usr/lib/python3": "Python",
    "usr/share/perl": "perl",
    "": "Debian, the rest",
}
"""Path in the image -> part; the longest beginning that fits counts."""


def main() -> int:
    """Print the table; 1 when the image is larger than the goal."""
    image = sys.argv[1] if len(sys.argv) > 1 else build()
    plain: Counter[str] = Counter()
    packed: Counter[str] = Counter()
    for path, data in contents(image):
        part = PARTS[max((key for key in PARTS if path.startswith(key)), key=len)]
        plain[part] += len(data)
        packed[part] += len(zlib.compress(data, 6))
    whole = compressed(image)
    print("| part | MB | MB compressed |\n| --- | ---: | ---: |")
    for part, size in packed.most_common():
        print(f"| {part} | {plain[part] / 1e6:.1f} | {size / 1e6:.1f} |")
    print(f"| **the image** | **{plain.total() / 1e6:.1f}** | **{whole / 1e6:.1f}** |")
    return int(whole / 1e6 > GOAL)


def build() -> str:
    """Build the image of this checkout."""
    tag = "mcp-sandbox-action:benchmark"
    subprocess.run((ROOT / "scripts" / "build-image.sh", tag), check=True, stdout=sys.stderr)
    return tag


def contents(image: str) -> Iterator[tuple[str, bytes]]:
    """Path and bytes of each file in each layer."""
    with (
        subprocess.Popen(("docker", "save", image), stdout=subprocess.PIPE) as saved,
        tarfile.open(fileobj=saved.stdout, mode="r|") as archive,
    ):
        for member in archive:
            stream = archive.extractfile(member) if member.isfile() else None
            if stream is not None:
                yield from layer(stream)


def layer(stream: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    """The same of one entry of a saved image; nothing of an entry that is no layer."""
    try:
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                if member.isfile() and (file := archive.extractfile(member)) is not None:
                    yield member.name, file.read()
    except tarfile.ReadError:
        return  # a manifest or a configuration


def compressed(image: str) -> int:
    """Bytes of the saved image after gzip -6."""
    packer, size = zlib.compressobj(6, wbits=31), 0
    with subprocess.Popen(("docker", "save", image), stdout=subprocess.PIPE) as saved:
        assert saved.stdout is not None
        while chunk := saved.stdout.read(2**20):
            size += len(packer.compress(chunk))
    return size + len(packer.flush())


if __name__ == "__main__":
    sys.exit(main())
