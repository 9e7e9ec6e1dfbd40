"""Variables of the environment: runtime directories, upgrades, colours."""

import os
from collections.abc import Mapping, MutableMapping

from pyfork.errors import ConfigError

# How a new program replaces this one: "spawn:FD", "exec:FD" (then "exec:FD:TRIES") or "dry-run:FD".
UPGRADE = "PYFORK_UPGRADE"


def is_init_or_unit() -> bool:
    """Whether the end of this process ends the service: it is PID 1, or systemd started it."""
    under_systemd = "NOTIFY_SOCKET" in os.environ or (
        "INVOCATION_ID" in os.environ and os.getppid() == 1
    )
    return os.getpid() == 1 or under_systemd


def upgrade(environ: Mapping[str, str]) -> tuple[str, int] | None:
    """The kind of upgrade that started this program, and its fd; None: no upgrade did."""
    kind, _, rest = environ.get(UPGRADE, "").partition(":")
    fd = rest.partition(":")[0]  # `pyfork.reexec` appends the number of its tries
    return (kind, int(fd)) if fd.isdecimal() else None


def claim_upgrade(environ: MutableMapping[str, str]) -> tuple[str, int] | None:
    """The same; also removes the variable, which children must not inherit."""
    found = upgrade(environ)
    environ.pop(UPGRADE, None)
    return found


def remove_secrets(environ: MutableMapping[str, str]) -> None:
    """Remove the secrets of the arbiter: an application may expose its environment."""
    for name in ("PYFORK_KEYFILE_PASSWORD", "PYFORK_STATUS_TOKEN"):
        environ.pop(name, None)


def runtime_directories() -> list[str]:
    """Directories for our sockets, best first; none of them need exist or be ours.

    A service may run without XDG_RUNTIME_DIR, and its operator with it. So a search for a socket
    looks in all of them.
    """
    temporary = os.environ.get("TMPDIR") or "/tmp"
    found = ["/run/pyfork", os.path.join(temporary, f"pyfork-{os.getuid()}")]
    own = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(own):
        found.insert(0, os.path.join(own, "pyfork"))
    return found


def state_directory() -> str:
    """The directory for files that outlive a server, such as its output."""
    if os.geteuid() == 0 and not os.environ.get("XDG_STATE_HOME"):
        return "/var/log/pyfork"
    state = os.environ.get("XDG_STATE_HOME", "")
    home = os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(state if os.path.isabs(state) else home, "pyfork")


def script_name(environ: Mapping[str, str]) -> str:
    """SCRIPT_NAME, the root path that gunicorn passes to WSGI applications; may be empty.

    Raises:
        ConfigError: it is no path.
    """
    name = environ.get("SCRIPT_NAME", "")
    if name and not name.startswith("/"):
        raise ConfigError(
            f"environment: SCRIPT_NAME: {name!r} is not a URL path that starts with /"
        )
    return os.fsencode(name).decode("latin-1").rstrip("/")  # PEP 3333: bytes as latin-1


def wants_colour(fd: int) -> bool:
    """Whether output to ``fd`` may have colours: see no-color.org and force-color.org."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (
        os.isatty(fd) and os.environ.get("TERM") != "dumb"
    )


def named_socket() -> str | None:
    """The path of the control socket in PYFORK_CONTROL, if there is one."""
    text = os.environ.get("PYFORK_CONTROL", "")
    return None if text in ("", "auto", "off") else text
