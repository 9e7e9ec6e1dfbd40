"""The watcher process: starts it if a configuration has --reload, and again if it dies.

Rules: watches no file itself, and does not interpret changes.
"""

import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from pyfork.arbiter.component import Component, Components
from pyfork.arbiter.workers import fork
from pyfork.config.config import Config
from pyfork.config.directory import Directory
from pyfork.ipc import titles
from pyfork.ipc.channel import Channel, pair
from pyfork.ipc.messages import FilesChanged, Message
from pyfork.ipc.poller import Poller
from pyfork.log import setup
from pyfork.record import entity, field, record
from pyfork.supervisor.backoff import Backoff
from pyfork.system import systemd_env

log = logging.getLogger("pyfork.error")

WatcherMain = Callable[[Config, Directory, Channel, tuple[str, ...], float], int]
"""The main function of the watcher: see pyfork.dev.watcher."""


@record
class WatcherSpec:
    """How the watcher runs."""

    main: str  # dotted name of a WatcherMain; resolved in the child
    files: tuple[str, ...] = ()  # of the configuration


@entity
class WatcherProcess(Component):
    """The one watcher of this arbiter."""

    poller: Poller
    components: Components
    watched: WatcherSpec | None
    config: Config | None = None  # None: nothing is watched
    directory: Directory | None = None  # relative to which it watches
    since: float = field(default_factory=time.time)  # wall clock: changes after it are new
    _changes: list[FilesChanged] = field(default_factory=list)  # not taken yet
    _channel: Channel | None = None
    _pid: int | None = None
    _born: float = 0.0  # monotonic seconds, as all below
    _start_at: float | None = None
    _backoff: Backoff = field(default_factory=Backoff)

    @property
    def deadline(self) -> float | None:
        """When to start the watcher again."""
        return self._start_at

    def apply_config(self, config: Config, directory: Directory) -> None:
        """Watch the files of ``config``, in the ``directory`` of its generation."""
        same = directory == self.directory
        if self.config and config.reload and same and _same(self.config, config):
            return
        self.close()
        self.directory = directory
        self.config = config if config.reload and self.watched else None
        if self.config:
            self._start()

    def take(self) -> list[FilesChanged]:
        """The changes since the last call."""
        changes, self._changes = self._changes, []
        return changes

    def tick(self, now: float) -> None:
        """Start the watcher again if the time has come."""
        if self._start_at is not None and now >= self._start_at:
            self._start()

    def exited(self, pid: int, how: str) -> bool:
        """A child exited. Returns whether it was the watcher."""
        if pid != self._pid:
            return False
        self._pid = None
        self._drop_channel()
        now = time.monotonic()
        self._backoff.record_exit(now, now - self._born)
        self._start_at = self._backoff.retry_at
        log.warning("the watcher died (%s): it is started again", how)
        return True

    def close(self) -> None:
        """Stop watching."""
        self._drop_channel()
        self._start_at = None
        if self._pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            self._pid = None

    def close_in_child(self) -> None:
        """Close the channel to the watcher."""
        if self._channel:
            self._channel.close()

    def _start(self) -> None:
        assert self.config
        assert self.watched
        assert self.directory
        self._start_at = None
        ours, theirs = pair()
        try:
            self._pid = fork.fork(
                partial(
                    _run_watcher, self.watched, self.config, self.directory, theirs, self.since
                ),
                self.components.close_in_child,
                ours.close,
            )
        except OSError as error:
            log.error("cannot fork the watcher: %s", error)
            ours.close()
            self._start_at = time.monotonic() + 1.0
            return
        finally:
            theirs.close()
        self._channel, self._born = ours, time.monotonic()
        self.poller.connect(ours, self._on_message, lambda why: None)  # waitpid reports its exit

    def _on_message(self, message: Message, fds: Sequence[int]) -> None:
        if isinstance(message, FilesChanged):
            self.since = time.time()
            self._changes.append(message)
        else:
            log.error("unexpected message from the watcher: %s", message)

    def _drop_channel(self) -> None:
        if self._channel:
            self.poller.unwatch(self._channel)
            self._channel.close()
            self._channel = None


def _same(one: Config, other: Config) -> bool:
    """Whether two configurations watch the same files."""
    names = (
        "chdir",
        "pythonpath",
        "env_file",
        *(name for name in vars(one) if name.startswith("reload_")),
    )
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _run_watcher(
    watched: WatcherSpec, config: Config, directory: Directory, channel: Channel, since: float
) -> int:
    """Run the watcher in the child. Returns its exit status."""
    systemd_env.remove(os.environ)
    setup.identify("watcher")
    titles.set_title(titles.watcher_title(config.name))
    main: WatcherMain = fork.import_name(watched.main)
    return main(config, directory, channel, watched.files, since)
