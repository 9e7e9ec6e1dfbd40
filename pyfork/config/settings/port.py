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
        help="Listen on this address: HOST:PORT, :PORT, [::]:PORT, unix:PATH, unix:@NAME or "
        "fd://N. May be repeated. Without it, pyfork listens on the sockets that systemd "
        "passes (LISTEN_FDS), if any.",
    )
    backlog: int = setting(
        2048,
        whole(1),
        flags="--backlog",
        help="The number of connections that may wait to be accepted.",
    )
    dispatch: str = setting(
        "least",
        choice("least", "shared", "round-robin", "reuseport"),
        flags="--dispatch",
        help="The worker that gets a new connection. least is the one with the fewest connections. "
        "shared is the one that the kernel wakes first. round-robin takes each in turn, "
        "through the arbiter. reuseport takes the kernel's hash, with a queue for each "
        "worker. The default for a script (pyfork run) is shared.",
    )
    unix_mode: int = setting(
        0o666,
        MODE,
        flags="--unix-mode",
        help="The permissions of Unix sockets; the default is 666 without the bits of --umask.",
    )
    unix_owner: str | None = setting(
        None,
        optional(TEXT),
        flags="--unix-owner",
        help="The owner of Unix sockets: USER, USER:GROUP or :GROUP.",
    )
