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
        help="Whether WebSocket is spoken: auto, by the websockets library; none, such a request "
        "is one like any other.",
    )
    ws_max_size: int = setting(
        16 << 20,
        SIZE,
        flags="--ws-max-size",
        help="Size of a WebSocket message, in bytes; a longer one closes the connection. 0 for no "
        "limit.",
    )
    ws_memory: int = setting(
        24 << 20,
        SIZE,
        flags="--ws-memory",
        help="Memory of a worker for WebSocket messages that have not come whole, in bytes. Above "
        "it, the connection whose message began first is closed (1013). 0 for no limit.",
    )
    ws_ping_interval: float | None = setting(
        20.0,
        optional(SECONDS),
        flags="--ws-ping-interval",
        help='How often a client is pinged; "" for never.',
    )
    ws_ping_timeout: float | None = setting(
        20.0,
        optional(SECONDS),
        flags="--ws-ping-timeout",
        help='How long a client may take to answer a ping; "" for ever.',
    )
    ws_compression: bool = setting(
        True,
        BOOLEAN,
        flags="--ws-compression",
        off="--no-ws-compression",
        help="Compress messages for clients that understand it.",
    )
