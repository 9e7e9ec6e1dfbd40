"""The certificates of each generation, as they are on the disk.

They are read when a generation begins: what cannot be used refuses it. Once a second the files are
looked at, and when they have changed and stayed so for a look, they are read again: a certificate
and its key are seldom replaced at once. What can be used goes to the workers; what cannot is told
once, and changes nothing, not even for a worker that is forked later.
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

POLL_SECONDS = 1.0  # seconds between two looks at the files


@entity
class _Loaded:
    """What one generation has."""

    config: Config
    tls: "TlsContexts"
    read: FileState  # the state of the files that was read last, and taken or not
    seen: FileState  # their state at the last look


class Certificates:
    """Those of all generations that count."""

    def __init__(self) -> None:
        self._held: dict[int, _Loaded] = {}
        self._next_poll = 0.0

    def open(self, generation: int, config: Config) -> None:
        """Read what ``config`` names, if it does. Raises ConfigError: it cannot be used."""
        if not config.bind or not (config.certfile or config.keyfile or config.ca_certs):
            return  # a script speaks for itself
        from pyfork.net.tls import context  # who speaks no TLS does not pay for it

        seen = stat_files(config)
        if loaded := context.load(config):
            self._held[generation] = _Loaded(config, loaded, seen, seen)

    def for_generation(self, generation: int) -> "TlsContexts | None":
        """What the workers of a generation speak TLS with."""
        held = self._held.get(generation)
        return held.tls if held else None

    def release(self, generation: int) -> None:
        """A generation will not be."""
        self._held.pop(generation, None)

    def release_below(self, generation: int) -> None:
        """Only this generation and later ones count."""
        self._held = {each: held for each, held in self._held.items() if each >= generation}

    @property
    def deadline(self) -> float | None:
        """When to `act` at the latest."""
        return self._next_poll if self._held else None

    def tick(self, now: float) -> Iterator[tuple[int, PemFiles]]:
        """Look at the files, if it is time to: which generation gets what."""
        if not self._held or now < self._next_poll:
            return
        self._next_poll = now + POLL_SECONDS
        for generation, held in self._held.items():
            before, held.seen = held.seen, stat_files(held.config)
            if held.seen == before and held.seen != held.read:
                held.read = held.seen
                if credentials := _renew(held):
                    yield generation, credentials


def _renew(held: _Loaded) -> PemFiles | None:
    try:
        credentials = read(held.config)
        held.tls.renew(credentials)
    except ConfigError as error:
        log.error(
            "cannot use the certificates on the disk, the previous ones stay in use: %s", error
        )
        return None
    log.info("new certificates, for %s", ", ".join(held.tls.names) or "no name")
    return credentials
