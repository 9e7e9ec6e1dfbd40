"""Where a user's programs keep what lives only as long as they do."""

import os
from pathlib import Path


def runtime_directories() -> list[Path]:
    """Directories for our sockets, best first; none of them need exist or be ours.

    A service may run without XDG_RUNTIME_DIR and its operator with it: who looks for a socket
    looks in all of them.
    """
    found = [Path("/run/pyfork"), Path(os.environ.get("TMPDIR") or "/tmp", f"pyfork-{os.getuid()}")]
    own = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(own):
        found.insert(0, Path(own, "pyfork"))
    return found


def named_socket() -> str | None:
    """The path that PYFORK_CONTROL gives for the control socket, if it gives one."""
    text = os.environ.get("PYFORK_CONTROL", "")
    return None if text in ("", "auto", "off") else text
