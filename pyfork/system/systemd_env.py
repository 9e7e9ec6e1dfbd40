"""The environment variables that systemd sets for a service.

sd_listen_fds(3), sd_notify(3) and sd_watchdog_enabled(3) define the variables. They are for the
arbiter, which keeps them for the program of an upgrade; workers do not get them.
"""

from collections.abc import Mapping, MutableMapping

_FIRST = 3  # SD_LISTEN_FDS_START
_ADDRESSEES = ("LISTEN_PID", "WATCHDOG_PID")  # the process that the others are for
_VARIABLES = (
    *_ADDRESSEES,
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_PIDFDID",
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
)


def passed_sockets(environ: Mapping[str, str], pid: int) -> dict[str, str]:
    """The sockets that were passed to the process ``pid``: bind text -> name, which may be "".

    A malformed variable, or one for another process, counts as absent.
    """
    count = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(pid) or not (count.isascii() and count.isdigit()):
        return {}
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    names += [""] * (int(count) - len(names))
    return {f"fd://{_FIRST + index}": names[index] for index in range(int(count))}


def notify_socket(environ: Mapping[str, str]) -> str | None:
    """The address of the notification socket, as `socket.connect` takes it.

    None: there is none, or it is no unix socket.
    """
    place = environ.get("NOTIFY_SOCKET", "")
    if len(place) < 2 or place[0] not in "/@":
        return None
    return "\0" + place[1:] if place[0] == "@" else place


def watchdog_interval(environ: Mapping[str, str], pid: int) -> float | None:
    """The watchdog interval of the process ``pid``, in seconds; None: there is none."""
    limit = environ.get("WATCHDOG_USEC", "")
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    return int(limit) / 1e6 if limit.isascii() and limit.isdigit() and int(limit) else None


def retarget_pid(environ: Mapping[str, str], old: int, new: int) -> dict[str, str]:
    """The environment with the variables for process ``old`` changed to be for ``new``."""
    changed = {name: str(new) for name in _ADDRESSEES if environ.get(name) == str(old)}
    return {**environ, **changed}


def remove(environ: MutableMapping[str, str]) -> None:
    """Remove the variables: an application must not notify systemd for the service."""
    for name in _VARIABLES:
        if name in environ:
            del environ[name]
