"""URLs that a peer wrote: taken apart without trusting that they are any."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

MAX_URL = 2048


def split(url: str) -> SplitResult | None:
    """The parts of a URL; ``None`` for what is none."""
    try:
        parts = urlsplit(url[:MAX_URL])
        _ = parts.port, parts.hostname
    except ValueError:
        return None
    return parts
