"""Functions of a Python configuration file, called when something happens."""

from collections.abc import Callable
from typing import Any

from pyfork.config.declare import group, setting
from pyfork.config.values import hook, optional

Hook = Callable[..., Any] | None


def _hook(parameters: str, help: str, *, fewest: int | None = None) -> Hook:
    return setting(
        None, optional(hook(parameters, fewest=fewest)), flags="", python=True, help=help
    )


@group("Hooks")
class HookSettings:
    """Functions of a Python configuration file, called when something happens."""

    on_starting: Hook = _hook("server", "In the arbiter, before anything is opened.")
    on_reload: Hook = _hook("server", "In the arbiter, when a reload has read this file anew.")
    when_ready: Hook = _hook("server", "In the arbiter, when it listens, before the first worker.")
    pre_fork: Hook = _hook("server worker", "In the arbiter, before a worker is forked.")
    post_fork: Hook = _hook(
        "server worker", "In the worker, first of all: it has the rights of the arbiter still."
    )
    post_worker_init: Hook = _hook("worker", "In the worker, when it has loaded the application.")
    worker_int: Hook = _hook("worker", "In the worker, when it is to leave without grace.")
    worker_abort: Hook = _hook(
        "worker", "In the worker, when it hangs past --timeout and is about to be killed."
    )
    pre_exec: Hook = _hook("server", "Before the program of an upgrade is executed.")
    pre_request: Hook = _hook("worker req", "In the worker, before a request is answered.")
    post_request: Hook = _hook(
        "worker req environ resp", "In the worker, after a request was answered.", fewest=2
    )
    child_exit: Hook = _hook("server worker", "In the arbiter, after a worker has ended.")
    worker_exit: Hook = _hook("server worker", "In the worker, last of all.")
    nworkers_changed: Hook = _hook(
        "server new old", "In the arbiter, when the number of workers is set; old is None at first."
    )
    on_exit: Hook = _hook("server", "In the arbiter, last of all.")
    ssl_context: Hook = _hook(
        "config default",
        "In the arbiter, and in workers when a certificate changes: returns the context that "
        "default() makes, altered. The certificate is loaded after it.",
    )
