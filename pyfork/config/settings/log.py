"""Settings about logs."""

from typing import Any

from pyfork.config.settings.declare import group, setting
from pyfork.config.types import MAPPING, PATH, TEXT, choice, optional

_LOG_FORMAT = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'


@group("Log")
class LogSettings:
    """Logs."""

    error_logfile: str = setting(
        "-",
        PATH,
        flags="--error-logfile --log-file",
        help="The file of pyfork's own log; - is stderr.",
    )
    log_level: str = setting(
        "info",
        choice("debug", "info", "warning", "error", "critical", also={"trace": "debug"}),
        flags="--log-level",
        help="The lowest level of records in the log.",
    )
    access_logfile: str | None = setting(
        None,
        optional(PATH),
        flags="--access-logfile",
        help="The file of the access log; - is stdout. By default there is none.",
    )
    access_logformat: str = setting(
        _LOG_FORMAT,
        TEXT,
        flags="--access-logformat",
        help="The format of an access log line, in gunicorn's atoms, or json.",
    )
    log_config: str | None = setting(
        None,
        optional(PATH),
        flags="--log-config",
        help="A file of logging.config (INI, JSON or TOML) that replaces this set-up.",
    )
    log_config_dict: dict[str, Any] | None = setting(
        None,
        optional(MAPPING),
        flags="",
        python=True,
        help="A schema of logging.config.dictConfig that replaces this set-up; it overrides "
        "--log-config.",
    )
