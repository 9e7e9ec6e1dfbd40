"""Addresses, and the dispatch of connections."""

from pyfork.config.settings.declare import group, setting
from pyfork.config.types import ADDRESSES, MODE, TEXT, choice, optional, whole


@group("Port")
class PortSettings:
    """Addresses, and the dispatch of connections."""

    bind: tuple[str, ...] = setting(
        ("127.0.0.1:8000",),
        ADDRESSES,
        flags="-b --bind",
        repeat=True,
        aliases={"PORT": "0.0.0.0:{}"},
        help="Where to listen: HOST:PORT, :PORT, [::]:PORT, unix:PATH, unix:@NAME or fd://N. "
        "May be repeated. Without it, on the sockets that systemd passes (LISTEN_FDS), if any.",
    )
    backlog: int = setting(
        2048,
        whole(1),
        flags="--backlog",
        help="How many connections may wait to be accepted.",
    )
    dispatch: str = setting(
        "least",
        choice("least", "shared", "round-robin", "reuseport"),
        flags="--dispatch",
        help="The worker that gets a new connection: least, the worker with the fewest; shared, "
        "the one that the kernel wakes first; round-robin, each in turn, by way of the arbiter; "
        "reuseport, by the kernel's hash, from a queue of each worker's own. For a script "
        "(pyfork run) the default is shared.",
    )
    unix_mode: int = setting(
        0o666,
        MODE,
        flags="--unix-mode",
        help="Permissions of unix sockets; by default 666 without the bits of --umask.",
    )
    unix_owner: str | None = setting(
        None,
        optional(TEXT),
        flags="--unix-owner",
        help="Owner of unix sockets: USER, USER:GROUP or :GROUP.",
    )
