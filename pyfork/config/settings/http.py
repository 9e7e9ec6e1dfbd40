"""Settings about HTTP."""

from typing import Literal

from pyfork.config.settings.declare import group, setting
from pyfork.config.types import BOOLEAN, FIELD_NAME, NETWORKS, Network, choice, optional

_LOCAL = NETWORKS.read("127.0.0.1,::1")


@group("HTTP")
class HTTPSettings:
    """HTTP."""

    http: str = setting(
        "auto",
        choice("auto", "httptools", "h11"),
        flags="--http",
        help="The HTTP parser. auto is pyfork's own. h11, by other authors, is slower and has the "
        "same limits; use it if somebody finds a flaw in the first. For -k uvicorn, auto is "
        "httptools if it is installed. httptools is the same as auto.",
    )
    forwarded_allow_ips: tuple[Network, ...] | Literal["*"] = setting(
        _LOCAL,
        NETWORKS,
        flags="--forwarded-allow-ips",
        aliases={"FORWARDED_ALLOW_IPS": "{}"},
        help="The proxies whose X-Forwarded-* and Forwarded fields count, separated by commas; * "
        "trusts every peer.",
    )
    request_id: str | None = setting(
        None,
        optional(FIELD_NAME),
        flags="--request-id",
        help="Give each request an id in this field, such as X-Request-Id: the one that a trusted "
        "proxy sent (--forwarded-allow-ips), else a UUID of version 7. The application, the "
        "client and the access log get it.",
    )
    server_header: bool = setting(
        True,
        BOOLEAN,
        flags="--server-header",
        off="--no-server-header",
        help="Send a Server field with each response.",
    )
