"""Number, class and life of worker processes."""

from pyfork.config.settings.declare import group, setting
from pyfork.config.types import (
    BOOLEAN,
    BOOT_PARALLEL,
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
        help="How many worker processes; auto is the number of CPUs that this process may use.",
    )
    worker_class: str = setting(
        "auto",
        WORKER_CLASS,
        flags="-k --worker-class",
        help="How a worker runs the application; auto chooses by its interface and --threads.",
    )
    threads: int = setting(
        1,
        whole(1),
        flags="--threads",
        help="Threads of a worker that call a WSGI application.",
    )
    busy_after: float = setting(
        0.005,
        SECONDS,
        flags="--busy-after",
        help="Seconds of one request behind which a worker counts as busy: its idle connections "
        "that have a next request, and new ones, go to workers that are free; 0 never.",
    )
    worker_connections: int = setting(
        10000,
        whole(1),
        flags="--worker-connections",
        help="How many connections a worker holds at most; for one more, the one that has idled "
        "longest is closed.",
    )
    max_requests: int = setting(
        0,
        whole(0),
        flags="--max-requests",
        help="Replace a worker after this many requests, a script (pyfork run) after this many "
        "connections; 0 never.",
    )
    max_requests_jitter: int = setting(
        0,
        whole(0),
        flags="--max-requests-jitter",
        help="Add a random number up to this one to --max-requests, so that workers take turns.",
    )
    max_memory: int = setting(
        0,
        SIZE,
        flags="--max-memory",
        help="Replace a worker whose resident memory is above this; 0 never.",
    )
    boot_parallel: int = setting(
        0,
        BOOT_PARALLEL,
        flags="--boot-parallel",
        help="How many workers boot at a time at the start and after crashes, so that they do not "
        "take the CPU from each other; auto is the number of CPUs that this process may use.",
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
        help="With --preload: a module that may start threads or connect while it is imported; "
        "native for threads of extension modules. May be repeated.",
    )
    keep_previous: bool = setting(
        False,
        BOOLEAN,
        flags="--keep-previous",
        help="With --preload: keep the fork server of the generation before, for pyfork rollback.",
    )
    warmup: tuple[str, ...] = setting(
        (),
        PATHS,
        flags="--warmup",
        repeat=True,
        help="With --preload: a path that is requested from the WSGI application, or a "
        "module:function that is called, before workers are forked. May be repeated.",
    )
    reload_parallel: int = setting(
        1,
        whole(1),
        flags="--reload-parallel",
        help="How many new workers boot at a time in a reload.",
    )
    loop: str = setting(
        "auto",
        choice("auto", "uvloop", "asyncio", also={"none": "auto"}),
        flags="--loop",
        help="The event loop; auto is uvloop where it is installed.",
    )
