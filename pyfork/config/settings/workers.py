"""Number, class and life of worker processes."""

from pyfork.config.settings.declare import group, setting
from pyfork.config.types import (
    BOOLEAN,
    COUNT,
    PATHS,
    SECONDS,
    SIZE,
    WORKER_CLASS,
    WORKERS,
    choice,
    whole,
)


@group("Workers")
class WorkersSettings:
    """Number, class and life of worker processes."""

    workers: int = setting(
        1,
        WORKERS,
        flags="-w --workers",
        aliases={"WEB_CONCURRENCY": "{}"},
        help="The number of worker processes; auto is the number of CPUs that this process may "
        "use.",
    )
    worker_class: str = setting(
        "auto",
        WORKER_CLASS,
        flags="-k --worker-class",
        help="The class of the workers; auto chooses it by the interface and --threads.",
    )
    threads: int = setting(
        1,
        COUNT,
        flags="--threads",
        help="The number of threads in each worker that call a WSGI application. auto starts with "
        "one. It adds threads, up to the number of CPUs + 4 and at most 32, while requests wait "
        "and the running ones block.",
    )
    busy_after: float = setting(
        0.005,
        SECONDS,
        flags="--busy-after",
        help="A worker counts as busy after one request has held it for this many seconds. Free "
        "workers then take its new connections, and its idle ones that have a next request. 0 "
        "for never.",
    )
    worker_connections: int = setting(
        10000,
        whole(1),
        flags="--worker-connections",
        help="The number of connections that a worker holds at most. For one more, it closes the "
        "connection that has idled longest.",
    )
    max_requests: int = setting(
        0,
        whole(0),
        flags="--max-requests",
        help="Replace a worker after this many requests, a script (pyfork run) after this many "
        "connections. 0 for never.",
    )
    max_requests_jitter: int = setting(
        0,
        whole(0),
        flags="--max-requests-jitter",
        help="Add a random number up to this one to --max-requests, so that pyfork does not "
        "replace all workers at once.",
    )
    max_memory: int = setting(
        0,
        SIZE,
        flags="--max-memory",
        help="Replace a worker whose resident memory is above this; 0 for never.",
    )
    boot_parallel: int = setting(
        0,
        COUNT,
        flags="--boot-parallel",
        help="The number of workers that boot at a time, at the start and after crashes. A small "
        "number leaves the CPU to the first of them. auto is the number of CPUs that this "
        "process may use.",
    )
    preload: bool = setting(
        False,
        BOOLEAN,
        flags="--preload",
        help="Import the application once per generation, in a fork server, and fork workers from "
        "it. Linux only.",
    )
    preload_unsafe: tuple[str, ...] = setting(
        (),
        PATHS,
        flags="--preload-unsafe",
        repeat=True,
        help="With --preload, a module that may start threads or connect during its import; native "
        "for threads of extension modules. May be repeated.",
    )
    keep_previous: bool = setting(
        False,
        BOOLEAN,
        flags="--keep-previous",
        help="With --preload, keep the fork server of the previous generation for pyfork rollback.",
    )
    warmup: tuple[str, ...] = setting(
        (),
        PATHS,
        flags="--warmup",
        repeat=True,
        help="With --preload, request this path from the WSGI application, or call this "
        "module:function, before the first fork. May be repeated.",
    )
    reload_parallel: int = setting(
        1,
        whole(1),
        flags="--reload-parallel",
        help="The number of new workers that boot at a time in a reload.",
    )
    loop: str = setting(
        "auto",
        choice("auto", "uvloop", "asyncio", also={"none": "auto"}),
        flags="--loop",
        help="The event loop; auto is uvloop if it is installed.",
    )
