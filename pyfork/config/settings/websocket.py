"""WebSocket, for ASGI applications."""

from pyfork.config.settings.declare import group, setting
from pyfork.config.types import BOOLEAN, SECONDS, SIZE, choice, optional

_WEBSOCKETS = dict.fromkeys(("websockets", "websockets-sansio"), "auto")


@group("WebSocket")
class WebSocketSettings:
    """WebSocket, for ASGI applications."""

    ws: str = setting(
        "auto",
        choice("auto", "none", also=_WEBSOCKETS),
        flags="--ws",
        help="With auto, pyfork speaks WebSocket. With none, such a request is like any other.",
    )
    ws_max_size: int = setting(
        16 << 20,
        SIZE,
        flags="--ws-max-size",
        help="The largest WebSocket message, in bytes; a larger one closes the connection. 0 for "
        "no limit.",
    )
    ws_memory: int = setting(
        24 << 20,
        SIZE,
        flags="--ws-memory",
        help="The memory of a worker for incomplete WebSocket messages, in bytes. Above it, pyfork "
        "closes the connection whose message began first (1013). 0 for no limit.",
    )
    ws_ping_interval: float | None = setting(
        20.0,
        optional(SECONDS),
        flags="--ws-ping-interval",
        help='The time between two pings of a client; "" for never.',
    )
    ws_ping_timeout: float | None = setting(
        20.0,
        optional(SECONDS),
        flags="--ws-ping-timeout",
        help='The time that a client has to answer a ping; "" for no limit.',
    )
    ws_compression: bool = setting(
        True,
        BOOLEAN,
        flags="--ws-compression",
        off="--no-ws-compression",
        help="Compress messages for clients that understand it.",
    )
