"""The certificates of each generation, reloaded when their files change.

They are loaded when a generation is prepared; an unusable file refuses the reload. Once a second
the files are checked. They are read again when they have changed and then stayed the same for one
check, since a certificate and its key are seldom replaced at the same time. Usable ones are sent to
the workers. An unusable one is logged once, and changes nothing, also for workers that are forked
later.
"""

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pyfork.config.config import Config
from pyfork.errors import ConfigError
from pyfork.net.tls.pem_files import FileState, PemFiles, read, stat_files
from pyfork.record import entity

if TYPE_CHECKING:
    from pyfork.net.tls.context import TlsContexts

log = logging.getLogger("pyfork.error")

POLL_SECONDS = 1.0  # between two checks of the files


@entity
class _Loaded:
    """The certificates of one generation."""

    config: Config
    tls: "TlsContexts"
    read: FileState  # the state of the files when they were last read
    seen: FileState  # their state at the last check


class Certificates:
    """The certificates of all generations."""

    def __init__(self) -> None:
        self._loaded: dict[int, _Loaded] = {}
        self._next_poll = 0.0

    def open(self, generation: int, config: Config) -> None:
        """Load the certificates of ``config``. Raises ConfigError if they cannot be used."""
        if not config.bind or not (config.certfile or config.keyfile or config.ca_certs):
            return  # a script has its own TLS
        from pyfork.net.tls import context  # not imported without TLS

        seen = stat_files(config)
        if loaded := context.load(config):
            self._loaded[generation] = _Loaded(config, loaded, seen, seen)

    def for_generation(self, generation: int) -> "TlsContexts | None":
        """The TLS contexts of a generation; None: it has no TLS."""
        loaded = self._loaded.get(generation)
        return loaded.tls if loaded else None

    def release(self, generation: int) -> None:
        """Forget the certificates of a generation."""
        self._loaded.pop(generation, None)

    def release_below(self, generation: int) -> None:
        """Forget the certificates of all lower generations."""
        self._loaded = {n: loaded for n, loaded in self._loaded.items() if n >= generation}

    @property
    def deadline(self) -> float | None:
        """When the files are checked next."""
        return self._next_poll if self._loaded else None

    def tick(self, now: float) -> Iterator[tuple[int, PemFiles]]:
        """Check the files, if it is time to. Yields new certificates, with their generation."""
        if not self._loaded or now < self._next_poll:
            return
        self._next_poll = now + POLL_SECONDS
        for generation, loaded in self._loaded.items():
            before, loaded.seen = loaded.seen, stat_files(loaded.config)
            if loaded.seen == before and loaded.seen != loaded.read:
                loaded.read = loaded.seen
                if credentials := _renew(loaded):
                    yield generation, credentials


def _renew(loaded: _Loaded) -> PemFiles | None:
    try:
        credentials = read(loaded.config)
        loaded.tls.renew(credentials)
    except ConfigError as error:
        log.error(
            "cannot use the certificates on the disk, the previous ones stay in use: %s", error
        )
        return None
    log.info("new certificates, for %s", ", ".join(loaded.tls.names) or "no name")
    return credentials
