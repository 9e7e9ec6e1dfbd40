"""The status server's process: begun where a configuration wants it, begun again if it dies.

The arbiter keeps the listener, so that a probe waits while a process takes another's place. The
process asks over a connection that is one of the control socket's clients.
"""

import logging
import os
import signal
import socket
import time
from contextlib import suppress
from functools import partial

from pyfork.address import Inet, InheritedFd, Unix, parse
from pyfork.arbiter.component import Component, Components
from pyfork.arbiter.control.server import ControlServer
from pyfork.arbiter.workers import fork
from pyfork.config.config import Config
from pyfork.errors import ConfigError, PyforkError
from pyfork.ipc import titles
from pyfork.ipc.scoreboard import Scoreboard
from pyfork.log import setup
from pyfork.metrics.log_counts import RecordCounts
from pyfork.net.bind import Listener, bind, bound_address
from pyfork.record import entity, field
from pyfork.supervisor.backoff import Backoff
from pyfork.system import environment, systemd_env

log = logging.getLogger("pyfork.error")

MAIN = "pyfork.status.main:main"
RETRY = 0.5  # seconds until an address that another process has is tried again
_BACKLOG = 64
_TOKEN_LIMIT = 4096  # characters


@entity
class StatusProcess(Component):
    """The one status server that there may be."""

    components: Components
    control: ControlServer
    scoreboard: Scoreboard
    _config: Config | None = None  # that it serves by
    _token: str = ""
    _listener: Listener | None = None
    _pid: int | None = None
    _born: float = 0.0  # monotonic seconds, as below
    _begin_at: float | None = None
    _logged: RecordCounts | None = None
    _backoff: Backoff = field(default_factory=Backoff)

    @property
    def deadline(self) -> float | None:
        return self._begin_at

    def open(self, config: Config) -> None:
        """Serve as ``config`` says.

        Raises:
            PyforkError: the address cannot be bound, or anybody could read there.
        """
        self._config = config
        self._count_logs(config)
        if not _is_wanted(config):
            return
        self._token = _token(config)
        if config.status_bind is not None:
            self._bind(config.status_bind)
        self._begin()

    def _count_logs(self, config: Config) -> None:
        """Count the arbiter's own log records, if StatsD gets their numbers."""
        if config.statsd_host is not None and self._logged is None:
            self._logged = RecordCounts.install()

    def apply_config(self, config: Config) -> None:
        """Serve as ``config`` says, from now on: at once, or when the address is free."""
        self._count_logs(config)
        there = self._pid is not None or self._begin_at is not None
        if there and self._config is not None and _same(self._config, config):
            return
        self.close()
        self._config = config
        if _is_wanted(config):
            self._begin_at = time.monotonic()

    def tick(self, now: float) -> None:
        """Start the process if the time has come."""
        if self._logged is not None:
            self._logged.write(self.scoreboard.ended())
        if self._begin_at is None or now < self._begin_at:
            return
        assert self._config is not None
        self._begin_at = None
        try:
            self._token = _token(self._config)
            if self._listener is None and self._config.status_bind is not None:
                self._bind(self._config.status_bind)
        except PyforkError as error:
            log.warning("no status server as yet: %s", error)
            self._begin_at = now + RETRY
        else:
            self._begin()

    def exited(self, pid: int, how: str) -> bool:
        """A child ended; whether it was this one."""
        if pid != self._pid:
            return False
        self._pid = None
        now = time.monotonic()
        self._backoff.record_exit(now, now - self._born)
        self._begin_at = self._backoff.retry_at
        log.warning("the status server died (%s): it is started again", how)
        return True

    def close(self) -> None:
        """Serve no more."""
        self._begin_at = None
        if self._pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            self._pid = None
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def close_in_child(self) -> None:
        if self._listener is not None:
            self._listener.socket.close()

    def _bind(self, text: str) -> None:
        address = parse(text)
        if isinstance(address, InheritedFd):
            raise ConfigError(f"--status-bind {text}: an address is needed, not a descriptor")
        if isinstance(address, Inet) and not _is_loopback(address) and not self._token:
            raise ConfigError(
                f"--status-bind {text}: everybody could read there; give --status-token-file"
            )
        self._listener = bind(address, backlog=_BACKLOG)
        where = bound_address(self._listener.socket)
        log.info("status server on %s", where if isinstance(where, Unix) else where.url("http"))

    def _begin(self) -> None:
        assert self._config is not None
        ours, theirs = socket.socketpair()
        try:
            self._pid = fork.fork(
                partial(_live, self._config, self._listener, theirs, self.scoreboard, self._token),
                partial(self.components.close_in_child, keep=(self,)),
                ours.close,
            )
        except OSError as error:
            log.error("cannot fork the status server: %s", error)
            ours.close()
            self._begin_at = time.monotonic() + 1.0
            return
        finally:
            theirs.close()
        self._born = time.monotonic()
        self.control.adopt(ours)


def _live(
    config: Config,
    listener: Listener | None,
    link: socket.socket,
    board: Scoreboard,
    token: str,
) -> int:
    """The child's life."""
    systemd_env.remove(os.environ)
    environment.remove_secrets(os.environ)
    setup.identify("status")
    titles.set_title(titles.status_title(config.name))
    statsd = (config.statsd_host, config.statsd_prefix or "", config.dogstatsd_tags or "")
    served = None if listener is None else listener.socket
    serve = fork.import_name(MAIN)
    status: int = serve(served, link, board, token, statsd, config.certfile)
    return status


def _is_wanted(config: Config) -> bool:
    return config.status_bind is not None or config.statsd_host is not None


def _same(one: Config, other: Config) -> bool:
    names = (
        *("status_bind", "status_token", "status_token_file", "name"),
        *("certfile", "statsd_host", "statsd_prefix", "dogstatsd_tags"),
    )
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _is_loopback(address: Inet) -> bool:
    return address.host == "localhost" or address.host == "::1" or address.host.startswith("127.")


def _token(config: Config) -> str:
    """Raises ConfigError: the file cannot be read, or is empty."""
    path = config.status_token_file
    if path is None:
        return config.status_token or ""
    if config.status_token is not None:
        raise ConfigError("status_token and status_token_file: give one of them")
    try:
        with open(path, encoding="utf-8") as file:
            token = file.readline(_TOKEN_LIMIT).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--status-token-file {path}: cannot be read: {error}") from None
    if not token:
        raise ConfigError(f"--status-token-file {path}: its first line is empty")
    return token
