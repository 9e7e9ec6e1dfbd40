"""Functions of a Python configuration file that pyfork calls at events."""

from collections.abc import Callable
from typing import Any

from pyfork.config.settings.declare import group, setting
from pyfork.config.types import ValueType, hook, optional

Hook = Callable[..., Any] | None


_SERVER, _WORKER, _BOTH = (optional(hook(each)) for each in ("server", "worker", "server worker"))


def _hook(kind: ValueType[Hook], help: str) -> Hook:
    return setting(None, kind, flags="", python=True, help=help)


@group("Hooks")
class HookSettings:
    """Functions of a Python configuration file that pyfork calls at events."""

    on_starting: Hook = _hook(_SERVER, "In the arbiter, before anything is opened.")
    on_reload: Hook = _hook(_SERVER, "In the arbiter, after a reload has read this file.")
    when_ready: Hook = _hook(_SERVER, "In the arbiter, when it listens, before the first worker.")
    pre_fork: Hook = _hook(_BOTH, "In the arbiter, before a worker is forked.")
    post_fork: Hook = _hook(
        _BOTH, "In the worker, first of all, still with the rights of the arbiter."
    )
    post_worker_init: Hook = _hook(_WORKER, "In the worker, when it has loaded the application.")
    worker_int: Hook = _hook(_WORKER, "In the worker, when it stops without grace.")
    worker_abort: Hook = _hook(
        _WORKER, "In the worker, when it hangs past --timeout and is about to be killed."
    )
    pre_exec: Hook = _hook(_SERVER, "Before the program of an upgrade is executed.")
    pre_request: Hook = _hook(
        optional(hook("worker req")), "In the worker, before a request is answered."
    )
    post_request: Hook = _hook(
        optional(hook("worker req environ resp", fewest=2)),
        "In the worker, after a request was answered.",
    )
    child_exit: Hook = _hook(_BOTH, "In the arbiter, after a worker has ended.")
    worker_exit: Hook = _hook(_BOTH, "In the worker, last of all.")
    nworkers_changed: Hook = _hook(
        optional(hook("server new old")),
        "In the arbiter, when the number of workers is set; old is None at first.",
    )
    on_exit: Hook = _hook(_SERVER, "In the arbiter, last of all.")
    ssl_context: Hook = _hook(
        optional(hook("config default")),
        "In the arbiter, and in workers when a certificate changes. Returns the context of "
        "default(), altered. pyfork loads the certificate into it.",
    )
