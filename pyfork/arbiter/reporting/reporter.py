"""Log lines about the whole server: its start, its reloads and its end; and for a terminal, the
addresses to open and the effect of a save.

Rules: text only; decides nothing.
"""

import logging
import os
import time

from pyfork import __version__
from pyfork.address import Address, Inet, parse
from pyfork.arbiter.generations import Generations
from pyfork.arbiter.listeners.table import ListenerTable
from pyfork.arbiter.workers.pool import WorkerPool
from pyfork.config.config import Config
from pyfork.ipc.messages import FilesChanged
from pyfork.log.formatter import terminal_style, with_detail
from pyfork.log.setup import on_terminal
from pyfork.supervisor.actions import Discard
from pyfork.supervisor.supervisor import SUPERSEDED

log = logging.getLogger("pyfork.error")

ERROR_PAGE = "error page"  # the interface of a worker whose application does not load


class Reporter:
    """Writes these lines."""

    def __init__(
        self, generations: Generations, pool: WorkerPool, listeners: ListenerTable
    ) -> None:
        self._generations = generations
        self._pool = pool
        self._listeners = listeners
        self._began = time.monotonic()
        self._causes: dict[int, FilesChanged] = {}  # of reloads, by generation
        self._warned = False  # that other machines can read source code

    def log_start(self, config: Config) -> None:
        """Log that the listeners are bound, before the first workers boot."""
        urls = [
            each.address.url(self._scheme) for each in self._listeners.of_generation(self._first)
        ]
        log.info(
            "%s is starting %s%s with %s",
            _program(),
            config.app,
            f" on {', '.join(urls)}" if urls else "",
            _count(config.workers),
        )
        if config.reload and on_terminal(config):
            log.info("pyfork %s loads %s", __version__, config.app, extra=terminal_style())

    def changed(self, cause: FilesChanged) -> None:
        """Log that files were saved."""
        log.info("reload: %s", _what(cause))

    def remember_cause(self, generation: int, cause: FilesChanged) -> None:
        """Remember the change that started a generation."""
        self._causes[generation] = cause

    def activated(self, generation: int) -> None:
        """Log that a generation serves."""
        cause = self._causes.get(generation)
        self._causes = {each: kept for each, kept in self._causes.items() if each > generation}
        interface = self._interface(generation)
        self._warn_of_readers(generation)
        if generation == self._generations.first:
            self._log_serving(generation, interface)
        elif cause and interface == ERROR_PAGE:
            log.info(
                "%s: clients get an error page until you fix it",
                _what(cause),
                extra=terminal_style(),
            )
        elif cause:
            took = (time.monotonic() - cause.at) * 1000
            log.info("reloaded in %.0f ms: %s", took, _what(cause), extra=terminal_style("good"))

    def stopped(self, generation: int) -> None:
        """Log that the server has stopped."""
        config = self._generations.config(generation)
        shown = terminal_style() if config.reload and on_terminal(config) else {}
        log.info("pyfork has stopped", extra=shown)

    def discarded(self, action: Discard, serving: int) -> None:
        """Log that a generation was discarded."""
        if action.reason == SUPERSEDED:  # no failure: a newer reload replaces it
            log.info("reload: generation %d is not needed any more", action.generation)
            return
        text = (
            f"reload failed: generation {action.generation} is abandoned, "
            f"generation {serving} keeps serving: {action.reason}"
        )
        log.error(with_detail(text, action.detail))

    def _log_serving(self, generation: int, interface: str) -> None:
        """Log that the first generation serves; on a terminal, with the addresses to open."""
        config = self._generations.config(generation)
        took = (time.monotonic() - self._began) * 1000
        rows = self._rows(config, interface) if on_terminal(config) else []
        if rows and config.reload:
            self._greet(interface, took, rows)
            return
        places = [_place(address, self._scheme) for address in self._addresses()]
        log.info(
            "%s is serving %s%s with %s%s, after %.0f ms",
            _program(),
            config.app,
            f" on {', '.join(places)}" if places else "",
            _count(config.workers),
            f" of class {_class(config, interface)}" if interface in ("wsgi", "asgi") else "",
            took,
            extra=terminal_style("good", rows),
        )

    def _greet(self, interface: str, took: float, rows: list[tuple[str, str]]) -> None:
        """The same with --reload on a terminal."""
        if interface == ERROR_PAGE:
            log.warning(
                "pyfork %s: the application does not load, and clients get an error page until "
                "you fix it",
                __version__,
                extra=terminal_style(rows=rows),
            )
            return
        extra = terminal_style("good", rows)
        log.info("pyfork %s is ready after %.0f ms", __version__, took, extra=extra)

    def _rows(self, config: Config, interface: str) -> list[tuple[str, str]]:
        """The rows below the line: label and text."""
        addresses = self._addresses()
        links = [each.link(self._scheme) for each in addresses]
        rows = [("open" if not number else "", link) for number, link in enumerate(links)]
        if links and links[0].startswith("http"):
            rows += [(label, f"{links[0]}{path}") for label, path in self._pages(self._first)]
        wildcards = [each for each in addresses if isinstance(each, Inet) and each.wildcard]
        rows += [("bound", f"{each} (all interfaces of this machine)") for each in wildcards]
        rows += [("app", f"{config.app} ({_spoken(interface)})")]
        workers = f"{config.workers} of class {_class(config, interface)}"
        rows += [("workers", workers if interface != "script" else str(config.workers))]
        if config.reload:
            where = ", ".join(config.reload_dir) or "this directory"
            rows += [("reload", f"when a file in {where} changes")]
        return [*rows, ("stop", "Ctrl-C")]

    def _warn_of_readers(self, generation: int) -> None:
        if self._warned or not self._generations.config(generation).reload:
            return
        texts = self._listeners.addresses(generation)
        public = [each for each in map(parse, texts) if isinstance(each, Inet)]
        public = [each for each in public if not each.loopback]
        if public:
            self._warned = True
            log.warning(
                "--reload shows source code while the application does not load, and other "
                "machines can reach %s",
                ", ".join(map(str, public)),
            )

    def _interface(self, generation: int) -> str:
        """The interface of a generation's application."""
        spoken = (each.interface for each in self._pool if each.generation == generation)
        return next(filter(None, spoken), "")

    def _pages(self, generation: int) -> list[tuple[str, str]]:
        """Label and path of the pages that the framework serves by itself."""
        workers = (each for each in self._pool if each.generation == generation and each.links)
        text = next((each.links for each in workers), "")
        return [(label, path) for label, _, path in (x.partition(" ") for x in text.splitlines())]

    def _addresses(self) -> list[Address]:
        """The bound addresses."""
        return [parse(text) for text in self._listeners.addresses(self._first)]

    @property
    def _first(self) -> int:
        return self._generations.first

    @property
    def _scheme(self) -> str:
        return self._generations.scheme(self._first)


def _program() -> str:
    return f"pyfork {__version__} (pid {os.getpid()})"


def _place(address: Address, scheme: str) -> str:
    """The URL; behind that of a wildcard, the one to open on this machine."""
    url, link = address.url(scheme), address.link(scheme)
    return url if url == link else f"{url} (here {link})"


def _count(workers: int) -> str:
    return f"{workers} worker{'' if workers == 1 else 's'}"


def _what(cause: FilesChanged) -> str:
    """``shop/views.py changed (+3)``."""
    return f"{cause.path} {cause.verb}" + (f" (+{cause.others})" if cause.others else "")


def _spoken(interface: str) -> str:
    return interface.upper() if interface in ("wsgi", "asgi") else interface


def _class(config: Config, interface: str) -> str:
    if config.worker_class != "auto":
        return config.worker_class
    if interface == "wsgi":
        return "thread" if config.threads != 1 else "sync"
    return "asgi"
