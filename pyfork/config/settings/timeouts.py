"""Time limits, in seconds."""

from pyfork.config.settings.declare import group, setting
from pyfork.config.types import SECONDS, TARGETS, whole


@group("Timeouts")
class TimeoutsSettings:
    """Time limits, in seconds."""

    timeout: float = setting(
        30.0,
        SECONDS,
        flags="-t --timeout",
        help="Kill and replace a worker that hangs for longer; 0: never. A script (pyfork run) "
        "hangs if it does not return to accept(); its default is 0.",
    )
    request_timeout: float = setting(
        0.0,
        SECONDS,
        flags="--request-timeout",
        help="How long an application in a thread or asgi worker may take to begin a response: "
        "then the client gets 504. 0 for ever. A sync worker has --timeout.",
    )
    max_queue_time: float = setting(
        0.0,
        SECONDS,
        flags="--max-queue-time",
        help="A request that has waited longer for the application is answered with 503 and "
        "Retry-After, and not run; 0 for none. X-Request-Start and X-Queue-Start of a trusted "
        "proxy count. WebSocket handshakes are not refused.",
    )
    priority_path: tuple[str, ...] = setting(
        (),
        TARGETS,
        flags="--priority-path",
        repeat=True,
        help="A path that --max-queue-time does not apply to, such as one for health checks; with "
        "* at its end all that begin so. May be repeated.",
    )
    graceful_timeout: float = setting(
        30.0,
        SECONDS,
        flags="--graceful-timeout",
        help="How long a draining worker may take to complete its requests.",
    )
    drain_delay: float = setting(
        0.0,
        SECONDS,
        flags="--drain-delay",
        help="How long the server goes on as before after it was told to stop, so that load "
        "balancers see in its status that it will.",
    )
    boot_timeout: float = setting(
        60.0,
        SECONDS,
        flags="--boot-timeout",
        help="How long a worker may take to load the application and start; 0 for ever.",
    )
    keep_alive: float = setting(
        65.0,
        SECONDS,
        flags="--keep-alive",
        help="How long an idle connection is kept for a next request.",
    )
    header_timeout: float = setting(
        30.0,
        SECONDS,
        flags="--header-timeout",
        help="How long a client may take to send the head of a request, however many bytes come; "
        "0 for ever.",
    )
    body_timeout: float = setting(
        30.0,
        SECONDS,
        flags="--body-timeout",
        help="How long a client may pause while it sends a body; 0 for ever.",
    )
    body_min_rate: int = setting(
        500,
        whole(0),
        flags="--body-min-rate",
        help="Bytes a second that a client has to send of a body: with fewer than this makes in "
        "--body-timeout, the request is refused; 0 for any number.",
    )
    write_timeout: float = setting(
        60.0,
        SECONDS,
        flags="--write-timeout",
        help="How long a client may pause while it reads a response; 0 for ever.",
    )
    write_min_rate: int = setting(
        240,
        whole(0),
        flags="--write-min-rate",
        help="Bytes a second that a client has to take of a response that waits for it: with "
        "fewer than this makes in --write-timeout, the connection is cut; 0 for any number.",
    )
