"""Every setting of gunicorn 27 with its rule; tests compare them with gunicorn's own list.

The names are those of its configuration file. ``flags`` has flags of its command line that are not
pyfork's; common flags have the same meaning in both.
"""

from typing import Any

from pyfork.config.compat.rules import CompatRule, Takes, honoured, idle, refused
from pyfork.config.settings.hooks import HookSettings
from pyfork.config.types import octal

_SECURE = {  # gunicorn's default; pyfork reads X-Forwarded-Proto and Forwarded
    "X-FORWARDED-PROTOCOL": "ssl",
    "X-FORWARDED-PROTO": "https",
    "X-FORWARDED-SSL": "on",
}
_SWITCH: dict[str, Any] = {"takes": Takes.NOTHING, "harmless": (False,)}
_DIRTY = "there are no dirty workers: pyfork run worker.py -w N keeps processes beside the server"
_HTTP2 = "HTTP/2 is the proxy's to speak; it goes on in HTTP/1.1"
_STATSD = "statsd gets no gunicorn.backlog; /metrics has pyfork_listen_queue_length"
_SYSLOG = "log to stderr, which the service manager takes, or give a SysLogHandler by log_config"
_ONLY_SYSLOG = "it is for syslog, which is not used"
_STRICT = "requests that violate RFC 9112 are always refused: fix the client"
_PASTE = "write app = 'module:factory()' for a function that calls paste.deploy.loadapp"
_CERTAIN = "the handshake is made by the loop, and a missing end is tolerated"


def _text(value: object) -> str:
    """Accept a user or group by number or name."""
    return str(value)


def _class(value: Any) -> str:
    return value if isinstance(value, str) else f"{value.__module__}.{value.__qualname__}"


def _plain(value: object) -> object:
    """Convert a member of an enumeration of the ssl module to a number."""
    return int(value) if isinstance(value, int) else value


def _loggers(value: dict[str, Any]) -> dict[str, Any]:
    """Apply the configuration of gunicorn's loggers to pyfork's, unless those are configured."""
    loggers = value.get("loggers", {})
    ours = {
        name.replace("gunicorn", "pyfork"): each
        for name, each in loggers.items()
        if name.startswith("gunicorn")
    }
    return {**value, "loggers": {**ours, **loggers}}


GUNICORN: dict[str, CompatRule] = {
    # Config file
    "config": idle("a file cannot name another one; give it with -c"),
    "wsgi_app": honoured("app"),
    # Server socket
    "bind": honoured("bind"),
    "backlog": honoured("backlog"),
    # Worker processes
    "workers": honoured("workers"),
    "worker_class": honoured("worker_class", read=_class),
    "threads": honoured("threads"),
    "worker_connections": honoured("worker_connections"),
    "max_requests": honoured("max_requests"),
    "max_requests_jitter": honoured("max_requests_jitter"),
    "timeout": honoured("timeout"),
    "graceful_timeout": honoured("graceful_timeout"),
    "keepalive": honoured("keep_alive"),
    "asgi_loop": honoured("loop", flags="--asgi-loop"),
    "asgi_lifespan": honoured("lifespan", flags="--asgi-lifespan"),
    "asgi_disconnect_grace_period": idle(
        "an application learns of a disconnect, and its task is not cancelled",
        flags="--asgi-disconnect-grace-period",
        harmless=(3,),
    ),
    "websocket_max_message_size": honoured("ws_max_size", flags="--websocket-max-message-size"),
    "http_parser": idle("--http chooses it here", flags="--http-parser", harmless=("auto",)),
    # Security
    "limit_request_line": honoured("limit_request_line"),
    "limit_request_fields": honoured("limit_request_fields"),
    "limit_request_field_size": honoured("limit_request_field_size"),
    # Debugging
    "reload": honoured("reload"),
    "reload_engine": honoured("reload_engine"),
    "reload_extra_files": honoured("reload_extra_file", harmless=([],)),
    "spew": refused("trace the application instead: python -m trace", flags="--spew", **_SWITCH),
    "check_config": idle("it is asked on the command line: pyfork --check-config", **_SWITCH),
    "print_config": idle("it is asked on the command line: pyfork --print-config", **_SWITCH),
    # Server mechanics
    "preload_app": honoured("preload"),
    "sendfile": idle(
        "files are sent by sendfile() wherever the system can",
        off="--no-sendfile",
        takes=Takes.NOTHING,
        harmless=(True,),
    ),
    "reuse_port": honoured(
        "dispatch",
        "became dispatch = 'reuseport'",
        read=lambda value: "reuseport",
        flags="--reuse-port",
        **_SWITCH,
    ),
    "chdir": honoured("chdir"),
    "daemon": refused(
        "leave it to a service manager, such as systemd with Type=notify, or write: "
        "nohup pyfork ... &",
        flags="-D --daemon",
        **_SWITCH,
    ),
    "raw_env": honoured("env", harmless=([],)),
    "pidfile": honoured("pid"),
    "worker_tmp_dir": idle("shared memory shows that workers live", flags="--worker-tmp-dir"),
    "user": honoured("user", read=_text),
    "group": honoured("group", read=_text),
    "umask": honoured("umask", read=octal),
    "initgroups": idle("it is always done", flags="--initgroups", **_SWITCH),
    "tmp_upload_dir": idle("large bodies go to TMPDIR"),
    "secure_scheme_headers": refused(
        "have the proxy send X-Forwarded-Proto or Forwarded",
        harmless=(_SECURE, {"X-FORWARDED-PROTO": "https"}, {"X-Forwarded-Proto": "https"}),
    ),
    "forwarded_allow_ips": honoured("forwarded_allow_ips"),
    "pythonpath": honoured("pythonpath"),
    "paste": refused(_PASTE, flags="--paste --paster"),
    "raw_paste_global_conf": idle(
        "it is for paste, which is not used",
        flags="--paste-global",
        takes=Takes.SEVERAL,
        harmless=([],),
    ),
    "proxy_protocol": refused(
        "have the proxy speak HTTP and send X-Forwarded-For (HAProxy: option forwardfor)",
        flags="--proxy-protocol",
        harmless=("off", False),
    ),
    "proxy_allow_ips": idle(
        "there is no PROXY protocol; forwarded_allow_ips is for HTTP's fields",
        flags="--proxy-allow-from",
        harmless=("127.0.0.1,::1",),
    ),
    "protocol": refused(
        "have nginx speak HTTP: proxy_pass in place of uwsgi_pass",
        flags="--protocol",
        harmless=("http",),
    ),
    "uwsgi_allow_ips": idle(
        "there is no uWSGI protocol", flags="--uwsgi-allow-from", harmless=("127.0.0.1,::1",)
    ),
    "permit_obsolete_folding": refused(_STRICT, flags="--permit-obsolete-folding", **_SWITCH),
    "strip_header_spaces": refused(_STRICT, flags="--strip-header-spaces", **_SWITCH),
    "permit_unconventional_http_method": refused(
        "methods that IANA has not registered are answered 501 (RFC 9110, 9.1)",
        flags="--permit-unconventional-http-method",
        **_SWITCH,
    ),
    "permit_unconventional_http_version": refused(
        _STRICT, flags="--permit-unconventional-http-version", **_SWITCH
    ),
    "casefold_http_method": refused(
        "methods are case-sensitive (RFC 9110, 9.1): fix the client",
        flags="--casefold-http-method",
        **_SWITCH,
    ),
    "forwarder_headers": refused(
        "SCRIPT_NAME counts if a trusted proxy sends it; nothing else that a client could write "
        "becomes part of the environment by its own name",
        flags="--forwarder-headers",
        harmless=("SCRIPT_NAME,PATH_INFO", ["SCRIPT_NAME", "PATH_INFO"], "SCRIPT_NAME"),
    ),
    "header_map": refused(
        "fields with _ in their names are dropped, as by default in gunicorn and nginx",
        flags="--header-map",
        harmless=("drop",),
    ),
    "root_path": honoured("root_path"),
    # Logging
    "accesslog": honoured("access_logfile"),
    "access_log_format": honoured("access_logformat"),
    "errorlog": honoured("error_logfile"),
    "loglevel": honoured("log_level"),
    "logconfig": honoured("log_config"),
    "logconfig_json": honoured("log_config", flags="--log-config-json"),
    "logconfig_dict": honoured("log_config_dict", read=_loggers, harmless=({},)),
    "logger_class": refused(
        "give handlers and filters for pyfork.error and pyfork.access by logconfig_dict",
        flags="--logger-class",
        harmless=("gunicorn.glogging.Logger", "simple"),
    ),
    "capture_output": idle(
        "the application's output goes to the server's own stdout and stderr",
        flags="--capture-output",
        **_SWITCH,
    ),
    "enable_stdio_inheritance": idle(
        "stdout and stderr are always inherited", flags="-R --enable-stdio-inheritance", **_SWITCH
    ),
    "syslog": refused(_SYSLOG, flags="--log-syslog", **_SWITCH),
    "syslog_addr": idle(_ONLY_SYSLOG, flags="--log-syslog-to"),
    "syslog_prefix": idle(_ONLY_SYSLOG, flags="--log-syslog-prefix"),
    "syslog_facility": idle(_ONLY_SYSLOG, flags="--log-syslog-facility"),
    "disable_redirect_access_to_syslog": idle(
        _ONLY_SYSLOG, flags="--disable-redirect-access-to-syslog", **_SWITCH
    ),
    "statsd_host": honoured("statsd_host"),
    "statsd_prefix": honoured("statsd_prefix"),
    "dogstatsd_tags": honoured("dogstatsd_tags"),
    "enable_backlog_metric": idle(_STATSD, flags="--enable-backlog-metric", **_SWITCH),
    # Process naming
    "proc_name": honoured("name"),
    "default_proc_name": idle("a server without a name is called after its application"),
    # Server hooks
    **{name: honoured(name) for name in vars(HookSettings) if not name.startswith("_")},
    # SSL
    "keyfile": honoured("keyfile"),
    "certfile": honoured("certfile"),
    "ca_certs": honoured("ca_certs"),
    "cert_reqs": honoured("cert_reqs", read=_plain),
    "ciphers": honoured("ciphers"),
    "ssl_version": idle("tls_min is the oldest version that is spoken", flags="--ssl-version"),
    "suppress_ragged_eofs": idle(
        _CERTAIN, flags="--suppress-ragged-eofs", takes=Takes.NOTHING, harmless=(True,)
    ),
    "do_handshake_on_connect": idle(_CERTAIN, flags="--do-handshake-on-connect", **_SWITCH),
    # HTTP/2
    "http_protocols": idle(_HTTP2, flags="--http-protocols", harmless=("h1", ["h1"])),
    "http2_cleartext": refused(_HTTP2, flags="--http2-cleartext", harmless=("off",)),
    **{
        name: idle(_HTTP2, flags=f"--{name.replace('_', '-')}")
        for name in (
            "http2_max_concurrent_streams",
            "http2_initial_window_size",
            "http2_max_frame_size",
            "http2_max_header_list_size",
        )
    },
    # Dirty arbiters
    "dirty_apps": refused(_DIRTY, flags="--dirty-app", takes=Takes.SEVERAL, harmless=([],)),
    "dirty_workers": refused(_DIRTY, flags="--dirty-workers", harmless=(0, "0")),
    **{
        name: idle(_DIRTY, flags=f"--{name.replace('_', '-')}")
        for name in ("dirty_timeout", "dirty_threads", "dirty_graceful_timeout")
    },
    **{
        name: idle(_DIRTY)
        for name in (
            "on_dirty_starting",
            "dirty_post_fork",
            "dirty_worker_init",
            "dirty_worker_exit",
        )
    },
    # Control
    "control_socket": honoured("control", flags="--control-socket"),
    "control_socket_mode": idle(
        "the control socket is its owner's alone", flags="--control-socket-mode", harmless=(0o600,)
    ),
    "control_socket_disable": honoured(
        "control", read=lambda value: "off", flags="--no-control-socket", **_SWITCH
    ),
}
