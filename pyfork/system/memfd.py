"""Anonymous files, which are shared with other processes by descriptor."""

import os
from typing import IO


def anonymous_file(purpose: str) -> IO[bytes]:
    """An empty one, in memory where that can be: a container may have no directory to write to.

    Raises OSError where it has none, and memory will not do.
    """
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create(purpose), "w+b")
    import tempfile  # it has many imports of its own

    return tempfile.TemporaryFile(prefix=f"{purpose}-")
