"""Anonymous files, which are shared with other processes by descriptor."""

import os
from typing import IO


def anonymous_file(purpose: str) -> IO[bytes]:
    """An empty one, in memory where that can be: a container may have no directory to write to.

    Raises OSError where it has none, and memory will not do.
    """
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create(purpose), "w+b")
    import tempfile  # its own imports are many, and nobody needs it where memory will do

    return tempfile.TemporaryFile(prefix=f"{purpose}-")
