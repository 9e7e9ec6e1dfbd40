"""The status server: metrics and probes over HTTP."""

from pyfork.config.settings.declare import group, setting
from pyfork.config.settings.tls import SECRET, Secret
from pyfork.config.types import DATAGRAMS, PATH, TEXT, optional


@group("Status server")
class StatusSettings:
    """The status server: metrics and probes over HTTP."""

    status_bind: str | None = setting(
        None,
        optional(TEXT),
        flags="--status-bind",
        help="Serve /metrics, /status, /livez and /readyz on this address (HOST:PORT or "
        "unix:PATH), from a separate process. An address that is not loopback needs a token.",
    )
    status_token: Secret | None = setting(
        None,
        optional(SECRET),
        flags="--status-token",
        help="The token that a client of /metrics and /status sends, as Authorization: Bearer "
        "TOKEN. Give it in the environment or a file: every user of the machine can read a "
        "command line.",
    )
    status_token_file: str | None = setting(
        None,
        optional(PATH),
        flags="--status-token-file",
        help="A file whose first line is that token.",
    )
    statsd_host: str | None = setting(
        None,
        optional(DATAGRAMS),
        flags="--statsd-host",
        help="Send metrics to StatsD at this address (HOST:PORT or unix:PATH), once a second, "
        "under gunicorn's names.",
    )
    statsd_prefix: str | None = setting(
        None,
        optional(TEXT),
        flags="--statsd-prefix",
        help="A word before each name in StatsD, such as shop for shop.gunicorn.requests.",
    )
    dogstatsd_tags: str | None = setting(
        None,
        optional(TEXT),
        flags="--dogstatsd-tags",
        help="DogStatsD tags, separated by commas, such as env:live,app:shop.",
    )
