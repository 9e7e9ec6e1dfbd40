"""Every option of uvicorn's command with its rule; tests compare them with uvicorn's own.

The names are those of its parameters. Options with a flag of pyfork have no ``flags`` here.
"""

import re
from collections.abc import Iterable, Iterator

from pyfork.config.compat.rules import CompatRule, Takes, honoured, idle, refused
from pyfork.config.sources.raw_value import RawValue
from pyfork.errors import ConfigError

_SWITCH = Takes.NOTHING
_HOST, _PORT = "127.0.0.1", "8000"


UVICORN: dict[str, CompatRule] = {
    "app": honoured("app"),
    "host": honoured("bind", flags="--host"),
    "port": honoured("bind", flags="--port"),
    "uds": honoured("bind", flags="--uds"),
    "fd": honoured("bind", flags="--fd"),
    "reload": honoured("reload"),
    "reload_dirs": honoured("reload_dir"),
    "reload_includes": honoured("reload_include"),
    "reload_excludes": honoured("reload_exclude"),
    "reload_delay": honoured("reload_delay"),
    "workers": honoured("workers"),
    "loop": honoured("loop"),
    "http": honoured("http"),
    "http2": refused("HTTP/2 is the proxy's to speak", flags="--http2", takes=_SWITCH),
    "ws": honoured("ws"),
    "ws_max_size": honoured("ws_max_size"),
    "ws_max_queue": idle(
        "one message waits for the application; its client waits with the next",
        flags="--ws-max-queue",
    ),
    "ws_ping_interval": honoured("ws_ping_interval"),
    "ws_ping_timeout": honoured("ws_ping_timeout"),
    "ws_per_message_deflate": honoured("ws_compression", flags="--ws-per-message-deflate"),
    "lifespan": honoured("lifespan"),
    "interface": honoured("interface"),
    "env_file": honoured("env_file"),
    "log_config": honoured("log_config"),
    "log_level": honoured("log_level"),
    "access_log": honoured(
        "access_logfile",
        read=lambda on: "-" if on else "",
        flags="--access-log",
        off="--no-access-log",
        takes=_SWITCH,
    ),
    "use_colors": idle(
        "colours are for terminals, and NO_COLOR switches them off",
        flags="--use-colors",
        off="--no-use-colors",
        takes=_SWITCH,
    ),
    "proxy_headers": honoured(
        "forwarded_allow_ips",
        read=lambda on: (),
        flags="--proxy-headers",
        off="--no-proxy-headers",
        takes=_SWITCH,
        harmless=(True,),
    ),
    "server_header": honoured("server_header"),
    "date_header": idle(
        "a server with a clock sends Date (RFC 9110, 6.6.1)",
        flags="--date-header",
        off="--no-date-header",
        takes=_SWITCH,
        harmless=(True,),
    ),
    "forwarded_allow_ips": honoured("forwarded_allow_ips"),
    "root_path": honoured("root_path"),
    "limit_concurrency": honoured(
        "worker_connections",
        "became --worker-connections: further clients wait, and are not answered 503",
        flags="--limit-concurrency",
    ),
    "backlog": honoured("backlog"),
    "limit_max_requests": honoured("max_requests", flags="--limit-max-requests"),
    "limit_max_requests_jitter": honoured(
        "max_requests_jitter", flags="--limit-max-requests-jitter"
    ),
    "timeout_keep_alive": honoured("keep_alive", flags="--timeout-keep-alive"),
    "timeout_graceful_shutdown": honoured("graceful_timeout", flags="--timeout-graceful-shutdown"),
    "timeout_worker_healthcheck": idle(
        "--timeout is how long a worker may hang", flags="--timeout-worker-healthcheck"
    ),
    "ssl_keyfile": honoured("keyfile"),
    "ssl_certfile": honoured("certfile"),
    "ssl_keyfile_password": honoured("keyfile_password"),
    "ssl_version": idle("tls_min is the oldest version that is spoken", flags="--ssl-version"),
    "ssl_cert_reqs": honoured("cert_reqs"),
    "ssl_ca_certs": honoured("ca_certs"),
    "ssl_ciphers": honoured("ciphers"),
    "headers": refused(
        "have the application or the proxy add fields", flags="--header", takes=Takes.SEVERAL
    ),
    "version": idle("it is asked on the command line: pyfork --version"),
    "app_dir": honoured("pythonpath", flags="--app-dir"),
    "h11_max_incomplete_event_size": honoured(
        "limit_request_head",
        "became --limit-request-head, whichever parser there is",
        flags="--h11-max-incomplete-event-size",
    ),
    "reset_contextvars": idle(
        "a request never sees context variables of another one",
        flags="--reset-contextvars",
        takes=_SWITCH,
    ),
    "factory": honoured("factory"),
}


def with_address(found: Iterable[tuple[str, RawValue]]) -> Iterator[tuple[str, RawValue]]:
    """Return the options with one address in place of --host, --port, --uds and --fd.

    Raises:
        ConfigError: they contradict each other.
    """
    parts: dict[str, RawValue] = {}
    for name, entry in found:
        if name in ("host", "port", "uds", "fd"):
            parts[name] = entry
        else:
            yield name, entry
    tcp = {"host", "port"} & parts.keys()
    if len(parts) - len(tcp) + bool(tcp) > 1:
        raise ConfigError(" and ".join(each.origin for each in parts.values()) + ": one of them")
    if not parts:
        return
    texts = {name: str(each.raw) for name, each in parts.items()}
    origin = ", ".join(each.origin for each in parts.values())
    first = next(iter(parts))
    if "uds" in parts:
        address = f"unix:{texts['uds']}"
    elif "fd" in parts:
        address = f"fd://{texts['fd']}"
    else:
        host = texts.get("host", _HOST)
        host = f"[{host}]" if re.fullmatch(r"[0-9a-fA-F:.%]*:[0-9a-fA-F:.%]*", host) else host
        address = f"{host}:{texts.get('port', _PORT)}"
    yield first, RawValue((address,), origin)
