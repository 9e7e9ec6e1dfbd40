"""Settings about HTTP."""

from typing import Literal

from pyfork.config.settings.declare import group, setting
from pyfork.config.types import BOOLEAN, NETWORKS, Network, choice

_LOCAL = NETWORKS.read("127.0.0.1,::1")


@group("HTTP")
class HTTPSettings:
    """HTTP."""

    http: str = setting(
        "auto",
        choice("auto", "httptools", "h11"),
        flags="--http",
        help="The HTTP parser. auto is pyfork's own; h11 is slower and by other authors, with the "
        "same limits, for the day on which a flaw is found in the first. For -k uvicorn, auto is "
        "httptools where it is installed. httptools is the same as auto.",
    )
    forwarded_allow_ips: tuple[Network, ...] | Literal["*"] = setting(
        _LOCAL,
        NETWORKS,
        flags="--forwarded-allow-ips",
        aliases={"FORWARDED_ALLOW_IPS": "{}"},
        help="Proxies whose X-Forwarded-* and Forwarded fields are trusted, separated by "
        "commas; * trusts every peer.",
    )
    server_header: bool = setting(
        True,
        BOOLEAN,
        flags="--server-header",
        off="--no-server-header",
        help="Send a Server field with each response.",
    )
