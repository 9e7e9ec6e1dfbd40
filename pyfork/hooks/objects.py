"""The arguments of hooks: the server and the worker, as far as hooks may see them.

Every public attribute here is documented in docs/configuration.md and stays. Hooks may add
attributes; those set on a `HookWorker` before the fork exist in the worker too.
"""

import logging
import os
from collections.abc import Callable
from typing import Any

from pyfork.config.config import Config

LOG = logging.getLogger("pyfork.error")


class HookConfig:
    """The settings, by pyfork's names and by gunicorn's."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_"):
            config = vars(self._config)
            if name in config:
                return config[name]
            from pyfork.config.compat.gunicorn import GUNICORN

            if name in GUNICORN and GUNICORN[name].to in config:
                return config[GUNICORN[name].to]
        raise AttributeError(f"no setting has the name {name}")

    @property
    def env(self) -> dict[str, str]:
        """The environment variables that the application gets."""
        return dict(self._config.env)

    @property
    def worker_class_str(self) -> str:
        """The name of the worker class."""
        return self._config.worker_class


class HookServer:
    """The arbiter. In a worker this is a copy as of its fork."""

    def __init__(self, config: Config, count: Callable[[], int]) -> None:
        self.pid = os.getpid()
        self.log = LOG
        self.cfg = HookConfig(config)
        self.WORKERS: dict[int, HookWorker] = {}  # by process id
        self.worker_age = 0  # of the youngest worker
        self._count = count

    @property
    def num_workers(self) -> int:
        """The configured number of workers."""
        return self._count()

    @property
    def address(self) -> tuple[str, ...]:
        """The addresses, as --bind gives them."""
        return tuple(self.cfg.bind)

    @property
    def proc_name(self) -> str:
        """The name of the server, or of its application."""
        return str(self.cfg.name or self.cfg.app)

    def __str__(self) -> str:
        return f"<server {self.pid}>"


class Application:
    """The loaded application of a worker."""

    def __init__(self, config: Config) -> None:
        self.cfg = HookConfig(config)
        self.callable: Callable[..., Any] | None = None

    def wsgi(self) -> Callable[..., Any] | None:
        """Return the application; an ASGI one too."""
        return self.callable


class HookWorker:
    """One worker process, from before its fork until after its exit."""

    def __init__(
        self,
        config: Config,
        *,
        age: int,
        slot: int,
        generation: int,
        answered: Callable[[], int] = lambda: 0,
    ) -> None:
        self.pid: int | None = None  # None before the fork
        self.ppid = os.getpid()
        self.age = age
        self.slot = slot
        self.generation = generation
        self.log = LOG
        self.cfg = HookConfig(config)
        self.timeout = config.timeout
        self.app = Application(config)
        self.booted = False
        self.aborted = False
        self.alive = True
        self.server: HookServer  # set before the fork
        self._config = config
        self._answered = answered

    @property
    def nr(self) -> int:
        """The number of requests that the worker has answered."""
        return self._answered()

    @property
    def wsgi(self) -> Callable[..., Any] | None:
        """The application, once it is loaded."""
        return self.app.callable

    def __str__(self) -> str:
        return f"<worker {self.slot}, pid {self.pid}>"


def config_of(worker: HookWorker) -> Config:
    """Return the configuration of ``worker``, which also has its hooks."""
    return worker._config
