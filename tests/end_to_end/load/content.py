"""What the application under load answers with, byte by byte, so that the client can check it.

A body begins with a line that names the request and the version of the code that answered it. A
big one goes on with BLOCKS blocks that are numbered: none can be lost, doubled or swapped unseen.
"""

import random
import struct
from collections.abc import Iterator

BLOCK = 64 * 1024
BLOCKS = 80  # 5 MiB

_NOISE = random.Random(5).randbytes(BLOCK - 8)


def title(request: str, version: str) -> bytes:
    """The line that every body begins with."""
    return f"{request} {version}\n".encode()


def blocks() -> Iterator[bytes]:
    """The rest of a big body."""
    for number in range(BLOCKS):
        yield struct.pack("!Q", number) + _NOISE


def big() -> bytes:
    """The rest of a big body, in one piece."""
    return b"".join(blocks())
