"""Limits of what a client may send or leave unread, in bytes."""

from pyfork.config.settings.declare import group, setting
from pyfork.config.types import SIZE, whole


@group("Limits")
class LimitsSettings:
    """Limits of what a client may send or leave unread, in bytes."""

    limit_request_line: int = setting(
        8190,
        SIZE,
        flags="--limit-request-line",
        help="The largest request line.",
    )
    limit_request_fields: int = setting(
        100,
        whole(1),
        flags="--limit-request-fields",
        help="The largest number of header fields in a request.",
    )
    limit_request_field_size: int = setting(
        8190,
        SIZE,
        flags="--limit-request-field_size --limit-request-field-size",
        help="The largest header field.",
    )
    limit_request_head: int = setting(
        65536,
        SIZE,
        flags="--limit-request-head",
        help="The largest sum of all header fields of a request.",
    )
    limit_request_body: int = setting(
        1 << 30,
        SIZE,
        flags="--limit-request-body",
        help="The largest request body; 0 for no limit.",
    )
    body_memory: int = setting(
        64 << 20,
        SIZE,
        flags="--body-memory",
        help="The memory of a worker for the bodies of WSGI requests, for all of them together, "
        "beyond 64 KiB each. A body without room goes to a temporary file without a name.",
    )
    response_buffer: int = setting(
        1 << 20,
        SIZE,
        flags="--response-buffer",
        help="The memory for the unread part of a WSGI response. A worker has 64 times as much for "
        "all responses.",
    )
    response_spool: int = setting(
        256 << 20,
        SIZE,
        flags="--response-spool",
        help="The size of temporary files without a name that a worker uses after that, for all "
        "WSGI responses together. Then the application waits for the client.",
    )
