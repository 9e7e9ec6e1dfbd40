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
        help="Size of a request line.",
    )
    limit_request_fields: int = setting(
        100,
        whole(1),
        flags="--limit-request-fields",
        help="Number of header fields of a request.",
    )
    limit_request_field_size: int = setting(
        8190,
        SIZE,
        flags="--limit-request-field_size --limit-request-field-size",
        help="Size of one header field.",
    )
    limit_request_head: int = setting(
        65536,
        SIZE,
        flags="--limit-request-head",
        help="Size of all header fields of a request together.",
    )
    limit_request_body: int = setting(
        1 << 30,
        SIZE,
        flags="--limit-request-body",
        help="Size of a request body; 0 for no limit.",
    )
    body_memory: int = setting(
        64 << 20,
        SIZE,
        flags="--body-memory",
        help="What a worker keeps in memory of the bodies of WSGI requests, for all of them "
        "together, beyond 64 KiB each. A body that finds no room goes to a temporary file without "
        "a name.",
    )
    response_buffer: int = setting(
        1 << 20,
        SIZE,
        flags="--response-buffer",
        help="What is kept in memory of a WSGI response that its client does not read; a worker "
        "keeps 64 times as much for all.",
    )
    response_spool: int = setting(
        256 << 20,
        SIZE,
        flags="--response-spool",
        help="What a worker keeps beyond that in temporary files without a name, for all WSGI "
        "responses together; then the application waits for the client.",
    )
