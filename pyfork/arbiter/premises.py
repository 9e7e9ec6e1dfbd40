"""What an arbiter holds as long as it is: listeners, pid file, room for open files.

They are made anew, or come from the arbiter before this one; at the end, what another arbiter
goes on with is left to it.
"""

import logging
import os
import resource

from pyfork.arbiter.heritage import Estate, Heritage, Predecessor
from pyfork.arbiter.house import House
from pyfork.arbiter.passed import account_for
from pyfork.arbiter.pidfile import PidFile
from pyfork.config import unit
from pyfork.config.settings import Config
from pyfork.errors import PyforkError

log = logging.getLogger("pyfork.error")


class Premises:
    """Opened once, closed once."""

    def __init__(self, house: House) -> None:
        self._ports = house.ports
        self._generations = house.generations
        self._pidfile: PidFile | None = None

    def open(self, config: Config, heritage: Heritage) -> None:
        """Have everything. Raises PyforkError, with nothing left behind, where that cannot be."""
        _allow_many_files()
        first = self._generations.first
        self._generations.certificates.open(first, config)
        match heritage:
            case Estate():
                self._ports.inherit(heritage.sockets(), first)
                self._ports.claim()
                self._ports.resume(first, heritage.listeners)
                self.write_pid(config)
            case Predecessor():  # its file stays its own until this arbiter is in charge
                self._ports.inherit(heritage.listeners, first - 1)
                self._ports.open(first, config)
            case None:
                self._ports.open(first, config)
                passed = unit.passed_sockets(os.environ, os.getpid())
                account_for(passed, self._ports.all(), self._generations.scheme(first))
                if config.pid:
                    self._pidfile = PidFile.claim(config.pid)

    def take_charge(self, config: Config) -> None:
        """Socket files and pid file are ours, whoever's they were."""
        self._ports.claim()
        self.write_pid(config)

    def write_pid(self, config: Config) -> None:
        """Put our process id in the place of another arbiter's."""
        if config.pid:
            try:
                self._pidfile = PidFile.take(config.pid)
            except PyforkError as error:
                log.error("%s", error)

    def close(self) -> None:
        """Leave nothing of ours."""
        self._ports.close()
        if self._pidfile:
            self._pidfile.release()


def _allow_many_files() -> None:
    """Every connection is a file: raise the soft limit as far as it goes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError) as error:  # macOS has a lower limit that it does not tell
            log.debug("the limit of open files stays at %d: %s", soft, error)
