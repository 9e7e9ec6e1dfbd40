"""The resources of an arbiter: listeners, certificates, pid file, watcher, control socket.

They are opened at the start, or inherited from the old arbiter or program. Pid file, watcher and
control socket belong to the active arbiter: a handover moves them to the new one.
"""

import logging
import os
import resource
import socket
from collections.abc import Mapping

from pyfork.address import InheritedFd, parse
from pyfork.arbiter.children.status_process import StatusProcess
from pyfork.arbiter.children.watcher import WatcherProcess
from pyfork.arbiter.control.server import ControlServer
from pyfork.arbiter.generations import Generations
from pyfork.arbiter.listeners.table import ListenerTable
from pyfork.arbiter.upgrade.saved_state import ExecState, OldArbiter, Previous
from pyfork.config.config import Config
from pyfork.errors import BindError, PyforkError
from pyfork.ipc.fd_name import FdKind, FdName
from pyfork.net.bind import bind, bound_address
from pyfork.supervisor.supervisor import Supervisor
from pyfork.system import systemd_env
from pyfork.system.pidfile import PidFile

log = logging.getLogger("pyfork.error")


class Resources:
    """Opens, inherits and closes the resources."""

    def __init__(
        self,
        supervisor: Supervisor,
        generations: Generations,
        listeners: ListenerTable,
        watcher: WatcherProcess,
        control: ControlServer,
        status: StatusProcess,
    ) -> None:
        self._supervisor = supervisor
        self._generations = generations
        self._listeners = listeners
        self._watcher = watcher
        self._control = control
        self._status = status
        self._pidfile: PidFile | None = None

    def open(self, config: Config, previous: Previous) -> None:
        """Open or inherit everything. Raises PyforkError, and then nothing stays open."""
        _allow_many_files()
        first = self._generations.first
        self._generations.certificates.open(first, config)
        match previous:
            case ExecState():
                self._inherit(previous)
                self.write_pid(config)
                self._status.apply_config(config)  # the previous one may still run
            case OldArbiter():  # its pid file stays until this arbiter is active
                self._listeners.inherit(previous.listeners, first - 1, own_files=False)
                self._listeners.open(first, config)
            case None:
                self._listeners.open(first, config)
                passed = systemd_env.passed_sockets(os.environ, os.getpid())
                _log_systemd_sockets(
                    passed, self._listeners.sockets(first), self._generations.scheme(first)
                )
                if config.pid:
                    self._pidfile = PidFile.claim(config.pid)
                self._status.open(config)

    def open_for_dry_run(self, config: Config, saved_state: ExecState) -> None:
        """Open what no other process can notice. Raises PyforkError."""
        self._generations.certificates.open(self._generations.first, config)
        self._inherit(saved_state)

    def _inherit(self, saved_state: ExecState) -> None:
        first = self._generations.first
        self._listeners.inherit(saved_state.sockets(), first, own_files=True)
        bound = [name for name, _ in saved_state.listeners if name.kind == FdKind.LISTENER]
        self._listeners.resume(first, [name.address for name in bound if not name.number])

    def activate(self) -> None:
        """Take over the socket files, the pid file, the watcher and the control socket."""
        config = self._generations.serving_config
        serving = self._supervisor.serving.number
        self._listeners.own_files()
        self.write_pid(config)
        self._watcher.apply_config(config, self._generations.directory(serving))
        self._status.apply_config(config)
        if not self._control.is_open:
            self._control.open(config.control)

    def release_control_socket(self) -> None:
        """Close the status server, and the control socket if its path is set: the new arbiter
        binds the same addresses."""
        self._status.close()
        if self._generations.serving_config.control != "auto":
            self._control.unlisten()

    def write_pid(self, config: Config) -> None:
        """Write the process id of this arbiter into the pid file."""
        if config.pid:
            try:
                self._pidfile = PidFile.take(config.pid)
            except PyforkError as error:
                log.error("%s", error)

    def close(self) -> None:
        """Close the listeners, and remove the pid file."""
        self._listeners.close()
        if self._pidfile:
            self._pidfile.release()


def _allow_many_files() -> None:
    """Raise the soft limit of open files to the hard limit, since each connection is a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError) as error:  # macOS has a lower limit, which it does not report
            log.debug("the limit of open files stays at %d: %s", soft, error)


def _log_systemd_sockets(
    passed: Mapping[str, str], listeners: Mapping[FdName, socket.socket], scheme: str
) -> None:
    """Log which of the ``passed`` sockets are used; close the others: clients would wait there."""
    for text, name in passed.items():
        if listener := listeners.get(FdName(FdKind.LISTENER, text)):
            url = bound_address(listener).url(scheme)
            log.info("systemd passed %s (%s): %s", text, name, url)
            continue
        log.warning("systemd passed %s (%s), which no --bind names: it is closed", text, name)
        address = parse(text)
        assert isinstance(address, InheritedFd)
        try:
            bind(address, backlog=0).close()
        except BindError as error:
            log.debug("it stays open: %s", error)
