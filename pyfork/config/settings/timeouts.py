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
        help="Kill and replace a worker that hangs for longer; 0 for never. A script (pyfork run) "
        "hangs if it does not return to accept(); its default is 0.",
    )
    request_timeout: float = setting(
        0.0,
        SECONDS,
        flags="--request-timeout",
        help="The time until an application in a thread or asgi worker must begin its response. "
        "Then the client gets 504. 0 for no limit. A sync worker has --timeout.",
    )
    max_queue_time: float = setting(
        0.0,
        SECONDS,
        flags="--max-queue-time",
        help="A request that has waited longer for the application gets 503 and Retry-After, and "
        "does not run; 0 for no limit. X-Request-Start and X-Queue-Start of a trusted proxy "
        "count. pyfork does not refuse WebSocket handshakes.",
    )
    priority_path: tuple[str, ...] = setting(
        (),
        TARGETS,
        flags="--priority-path",
        repeat=True,
        help="A path without --max-queue-time, such as one for health checks. With * at its end, "
        "all paths with that prefix. May be repeated.",
    )
    graceful_timeout: float = setting(
        30.0,
        SECONDS,
        flags="--graceful-timeout",
        help="The time that a draining worker has for its requests.",
    )
    drain_delay: float = setting(
        0.0,
        SECONDS,
        flags="--drain-delay",
        help="The time for which the server continues after a stop, so that load balancers see it "
        "in the status.",
    )
    boot_timeout: float = setting(
        60.0,
        SECONDS,
        flags="--boot-timeout",
        help="The time that a worker has to load the application and start; 0 for no limit.",
    )
    keep_alive: float = setting(
        65.0,
        SECONDS,
        flags="--keep-alive",
        help="The time that an idle connection stays open for a next request.",
    )
    header_timeout: float = setting(
        30.0,
        SECONDS,
        flags="--header-timeout",
        help="The time that a client has to send the head of a request, however many bytes arrive; "
        "0 for no limit.",
    )
    body_timeout: float = setting(
        30.0,
        SECONDS,
        flags="--body-timeout",
        help="The longest pause of a client that sends a body; 0 for no limit.",
    )
    body_min_rate: int = setting(
        500,
        whole(0),
        flags="--body-min-rate",
        help="The bytes a second that a client has to send of a body, measured over "
        "--body-timeout. pyfork refuses a slower request. 0 for any rate.",
    )
    write_timeout: float = setting(
        60.0,
        SECONDS,
        flags="--write-timeout",
        help="The longest pause of a client that reads a response; 0 for no limit.",
    )
    write_min_rate: int = setting(
        240,
        whole(0),
        flags="--write-min-rate",
        help="The bytes a second that a client has to read of a waiting response, measured over "
        "--write-timeout. pyfork cuts a slower connection. 0 for any rate.",
    )
