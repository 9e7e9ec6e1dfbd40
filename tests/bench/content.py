"""What is asked for and what must come back: known to the applications and to who checks them."""

import os
import tempfile
from pathlib import Path

HELLO = b"Hello, world!"
JSON = {"message": "Hello, world!", "items": [{"id": n, "name": f"item {n}"} for n in range(5)]}
BIG = b"0123456789abcdef" * 640  # 10 KiB
FIELDS = [("Cache-Control", "no-cache"), ("Vary", "Accept-Encoding"), ("ETag", '"5f3a-1b2c"')]
CHUNK, CHUNKS = b"x" * 1024, 16  # of a stream
HELD, HELD_SECONDS = "/held", 0.3  # where the second chunk comes so long after the first
UPLOAD = b"u" * (1 << 20)
FILE_BYTES = 100 << 20

# What a browser sends with a navigation, besides Host: twelve fields.
BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
    "Accept-Language": "en-US,en;q=0.5",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Referer": "https://example.org/articles/2026/november?page=2",
    "Cookie": "session=3f2b8a9c1d4e5f60718293a4b5c6d7e8; theme=dark; consent=analytics%3Dno",
    "Upgrade-Insecure-Requests": "1",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "same-origin",
    "Priority": "u=0, i",
    "DNT": "1",
}

# A client that asks for something else each time, as most do: {n} is another number.
VARIED = "/articles/{n}?page={n}"
VARYING = BROWSER | {
    "Referer": "https://example.org/articles/{n}",
    "Cookie": BROWSER["Cookie"].replace("session=", "session={n}"),
}


def file_path() -> Path:
    """The file of FILE_BYTES zeros: sparse, so it costs no disk and is always in memory."""
    return Path(os.environ.get("BENCH_FILE") or Path(tempfile.gettempdir()) / "pyfork-bench-file")


def make_file(path: Path) -> None:
    """Make it."""
    with path.open("wb") as file:
        file.truncate(FILE_BYTES)
