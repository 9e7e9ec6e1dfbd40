"""Every setting of pyfork, declared once.

The command line, the PYFORK_* variables, the file, --print-config and docs/settings.md all derive
from the declarations below. Flags carry gunicorn's names where gunicorn has the setting.
"""

from dataclasses import dataclass
from typing import Literal

from pyfork.config.declare import declarations, setting
from pyfork.config.values import (
    ADDRESSES,
    APP,
    BOOLEAN,
    MODE,
    NETWORKS,
    PATH,
    PATHS,
    ROOT_PATH,
    SECONDS,
    SIZE,
    TEXT,
    VARIABLES,
    WORDS,
    WORKER_CLASS,
    WORKERS,
    Network,
    choice,
    optional,
    whole,
)

_LOG_FORMAT = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
_LOCAL = NETWORKS.read("127.0.0.1,::1")


@dataclass(frozen=True, kw_only=True)
class Config:
    """The value of every setting. Times are in seconds, sizes in bytes."""

    app: str | None = setting(
        None,
        optional(APP),
        flags="",
        group="Application",
        help="The WSGI or ASGI application: module, module:name, module:name.sub or "
        "module:factory().",
    )
    factory: bool = setting(
        False,
        BOOLEAN,
        flags="--factory",
        group="Application",
        help="The name is a function that returns the application.",
    )
    interface: str = setting(
        "auto",
        choice("auto", "wsgi", "asgi"),
        flags="--interface",
        group="Application",
        help="What the application speaks; auto looks at it.",
    )
    lifespan: str = setting(
        "auto",
        choice("auto", "on", "off"),
        flags="--lifespan",
        group="Application",
        help="ASGI lifespan: on makes its absence an error, auto does without.",
    )
    root_path: str = setting(
        "",
        ROOT_PATH,
        flags="--root-path",
        group="Application",
        help="The path below which a proxy serves the application (SCRIPT_NAME, root_path).",
    )
    chdir: str | None = setting(
        None,
        optional(PATH),
        flags="--chdir",
        group="Application",
        help="Change to this directory before the application is loaded.",
    )
    pythonpath: tuple[str, ...] = setting(
        (),
        PATHS,
        flags="--pythonpath",
        group="Application",
        help="Directories, separated by commas, to search for modules first.",
    )
    env: tuple[tuple[str, str], ...] = setting(
        (),
        VARIABLES,
        flags="-e --env",
        repeat=True,
        group="Application",
        help="Set an environment variable for the application. May be repeated.",
    )

    bind: tuple[str, ...] = setting(
        ("127.0.0.1:8000",),
        ADDRESSES,
        flags="-b --bind",
        repeat=True,
        aliases={"PORT": "0.0.0.0:{}"},
        group="Port",
        help="Where to listen: HOST:PORT, :PORT, [::]:PORT, unix:PATH, unix:@NAME or fd://N. "
        "May be repeated. Without it, on the sockets that systemd passes (LISTEN_FDS), if any.",
    )
    backlog: int = setting(
        2048,
        whole(1),
        flags="--backlog",
        group="Port",
        help="How many connections may wait to be accepted.",
    )
    dispatch: str = setting(
        "least",
        choice("least", "shared", "round-robin", "reuseport"),
        flags="--dispatch",
        group="Port",
        help="Who gets a new connection: least, the worker with the fewest; shared, whom the "
        "kernel wakes first; round-robin, each in turn, by way of the arbiter; reuseport, by the "
        "kernel's hash, from a queue of each worker's own.",
    )
    unix_mode: int = setting(
        0o666,
        MODE,
        flags="--unix-mode",
        group="Port",
        help="Permissions of unix sockets; by default what --umask leaves of 666.",
    )
    unix_owner: str | None = setting(
        None,
        optional(TEXT),
        flags="--unix-owner",
        group="Port",
        help="Owner of unix sockets: USER, USER:GROUP or :GROUP.",
    )

    workers: int = setting(
        1,
        WORKERS,
        flags="-w --workers",
        aliases={"WEB_CONCURRENCY": "{}"},
        group="Workers",
        help="How many worker processes; auto is the number of CPUs that this process may use.",
    )
    worker_class: str = setting(
        "auto",
        WORKER_CLASS,
        flags="-k --worker-class",
        group="Workers",
        help="How a worker runs the application; auto chooses by its interface and --threads.",
    )
    threads: int = setting(
        1,
        whole(1),
        flags="--threads",
        group="Workers",
        help="Threads of a worker that call a WSGI application.",
    )
    worker_connections: int = setting(
        10000,
        whole(1),
        flags="--worker-connections",
        group="Workers",
        help="How many connections a worker holds at most.",
    )
    max_requests: int = setting(
        0,
        whole(0),
        flags="--max-requests",
        group="Workers",
        help="Replace a worker after this many requests; 0 never.",
    )
    max_requests_jitter: int = setting(
        0,
        whole(0),
        flags="--max-requests-jitter",
        group="Workers",
        help="Add a random number up to this one to --max-requests, so that workers take turns.",
    )
    max_memory: int = setting(
        0,
        SIZE,
        flags="--max-memory",
        group="Workers",
        help="Replace a worker whose resident memory is above this; 0 never.",
    )
    reload_parallel: int = setting(
        1,
        whole(1),
        flags="--reload-parallel",
        group="Workers",
        help="How many new workers boot at a time in a reload.",
    )
    upgrade_mode: str = setting(
        "auto",
        choice("auto", "spawn", "exec"),
        flags="--upgrade-mode",
        group="Process",
        help="How USR2 replaces pyfork itself: exec keeps the process, spawn starts another one "
        "beside it; auto is exec as PID 1 or under systemd, else spawn.",
    )
    loop: str = setting(
        "auto",
        choice("auto", "uvloop", "asyncio"),
        flags="--loop",
        group="Workers",
        help="The event loop; auto is uvloop where it is installed.",
    )

    script_args: tuple[str, ...] = setting(
        (),
        WORDS,
        flags="--script-args",
        group="Script",
        help="Arguments of the script that pyfork run runs. Those behind -- replace them.",
    )
    ready_on: str = setting(
        "listen",
        choice("listen", "message", "delay"),
        flags="--ready-on",
        group="Script",
        help="When a script is ready: listen, as soon as it listens; message, when it calls "
        "pyfork.cluster.ready(); delay, after --ready-delay.",
    )
    ready_delay: float = setting(
        1.0,
        SECONDS,
        flags="--ready-delay",
        group="Script",
        help="With --ready-on delay, how long after its start a script counts as ready.",
    )
    exclusive: tuple[str, ...] = setting(
        (),
        WORDS,
        flags="--exclusive",
        repeat=True,
        group="Script",
        help="A port, address or path that a script's processes do not share, such as 9100, "
        "127.0.0.1:9100 or 0 for every port that the kernel chooses. May be repeated.",
    )

    timeout: float = setting(
        30.0,
        SECONDS,
        flags="-t --timeout",
        group="Timeouts",
        help="Kill and replace a worker that hangs for longer; 0 never.",
    )
    graceful_timeout: float = setting(
        30.0,
        SECONDS,
        flags="--graceful-timeout",
        group="Timeouts",
        help="How long a worker that leaves may finish its requests.",
    )
    drain_delay: float = setting(
        0.0,
        SECONDS,
        flags="--drain-delay",
        group="Timeouts",
        help="How long the server goes on as before after it was told to stop, so that load "
        "balancers see in its status that it will.",
    )
    boot_timeout: float = setting(
        60.0,
        SECONDS,
        flags="--boot-timeout",
        group="Timeouts",
        help="How long a worker may take to load the application and start; 0 for ever.",
    )
    keep_alive: float = setting(
        65.0,
        SECONDS,
        flags="--keep-alive",
        group="Timeouts",
        help="How long an idle connection is kept for a next request.",
    )
    header_timeout: float = setting(
        30.0,
        SECONDS,
        flags="--header-timeout",
        group="Timeouts",
        help="How long a client may take to send the head of a request; 0 for ever.",
    )
    body_timeout: float = setting(
        30.0,
        SECONDS,
        flags="--body-timeout",
        group="Timeouts",
        help="How long a client may pause while it sends a body; 0 for ever.",
    )
    write_timeout: float = setting(
        60.0,
        SECONDS,
        flags="--write-timeout",
        group="Timeouts",
        help="How long a client may pause while it reads a response; 0 for ever.",
    )

    http: str = setting(
        "auto",
        choice("auto", "httptools", "h11"),
        flags="--http",
        group="HTTP",
        help="The HTTP parser; auto is httptools where it is installed.",
    )
    forwarded_allow_ips: tuple[Network, ...] | Literal["*"] = setting(
        _LOCAL,
        NETWORKS,
        flags="--forwarded-allow-ips",
        group="HTTP",
        help="Proxies whose X-Forwarded-* and Forwarded fields are believed, separated by "
        "commas; * believes everyone.",
    )
    server_header: bool = setting(
        True,
        BOOLEAN,
        flags="--server-header",
        off="--no-server-header",
        group="HTTP",
        help="Send a Server field with each response.",
    )

    limit_request_line: int = setting(
        8190,
        SIZE,
        flags="--limit-request-line",
        group="Limits",
        help="Size of a request line.",
    )
    limit_request_fields: int = setting(
        100,
        whole(1),
        flags="--limit-request-fields",
        group="Limits",
        help="Number of header fields of a request.",
    )
    limit_request_field_size: int = setting(
        8190,
        SIZE,
        flags="--limit-request-field_size --limit-request-field-size",
        group="Limits",
        help="Size of one header field.",
    )
    limit_request_head: int = setting(
        65536,
        SIZE,
        flags="--limit-request-head",
        group="Limits",
        help="Size of all header fields of a request together.",
    )
    limit_request_body: int = setting(
        1 << 30,
        SIZE,
        flags="--limit-request-body",
        group="Limits",
        help="Size of a request body; 0 for no limit.",
    )

    name: str | None = setting(
        None,
        optional(TEXT),
        flags="-n --name",
        group="Process",
        help="A name for this server, shown in process titles and logs.",
    )
    pid: str | None = setting(
        None,
        optional(PATH),
        flags="-p --pid",
        group="Process",
        help="Write the arbiter's process id to this file.",
    )
    control: str = setting(
        "auto",
        PATH,
        flags="--control",
        group="Process",
        help="Where the control socket is, which pyfork status, reload, stop and scale use; auto "
        "is a file in the runtime directory, off is none. Read at start only.",
    )
    user: str | None = setting(
        None,
        optional(TEXT),
        flags="-u --user",
        group="Process",
        help="Run workers as this user, by name or id.",
    )
    group: str | None = setting(
        None,
        optional(TEXT),
        flags="-g --group",
        group="Process",
        help="Run workers as this group, by name or id.",
    )
    umask: int | None = setting(
        None,
        optional(MODE),
        flags="-m --umask",
        group="Process",
        help="File mode creation mask, in octal.",
    )

    error_logfile: str = setting(
        "-",
        PATH,
        flags="--error-logfile --log-file",
        group="Log",
        help="Where pyfork's own log goes; - is stderr.",
    )
    log_level: str = setting(
        "info",
        choice("debug", "info", "warning", "error", "critical"),
        flags="--log-level",
        group="Log",
        help="The least severe records that are logged.",
    )
    access_logfile: str | None = setting(
        None,
        optional(PATH),
        flags="--access-logfile",
        group="Log",
        help="Where the access log goes; - is stdout. By default there is none.",
    )
    access_logformat: str = setting(
        _LOG_FORMAT,
        TEXT,
        flags="--access-logformat",
        group="Log",
        help="The format of an access log line, in gunicorn's atoms, or json.",
    )
    log_config: str | None = setting(
        None,
        optional(PATH),
        flags="--log-config",
        group="Log",
        help="A file of logging.config (INI, JSON or TOML) that replaces this set-up.",
    )


SETTINGS = declarations(Config)
