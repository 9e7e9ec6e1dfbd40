"""What the arbiter says of the whole server: what it serves where, and what a reload came to; and
to the person who develops, where to click, and what a save has led to.

Rules: words only; what they are about has happened.
"""

import logging
import os
import time

from pyfork import __version__
from pyfork.address import Inet, parse
from pyfork.arbiter.context import ArbiterContext
from pyfork.arbiter.reporting import log_lines
from pyfork.config.config import Config
from pyfork.ipc.messages import FilesChanged
from pyfork.log.formatter import terminal_style
from pyfork.log.setup import on_terminal
from pyfork.supervisor.actions import Discard
from pyfork.supervisor.supervisor import SUPERSEDED

log = logging.getLogger("pyfork.error")

ERROR_PAGE = "error page"  # the interface of a worker whose application does not load


class Reporter:
    """Speaks to every log, and more to a terminal."""

    def __init__(self, house: ArbiterContext) -> None:
        self._generations = house.generations
        self._crew = house.crew
        self._ports = house.ports
        self._began = time.monotonic()
        self._causes: dict[int, FilesChanged] = {}  # by the generation that they led to
        self._warned = False  # that others can read source code

    def log_start(self, config: Config) -> None:
        """The first workers are about to boot, which may take its time."""
        log.info(
            "pyfork %s (pid %d) %s with %d worker%s%s",
            __version__,
            os.getpid(),
            self._purpose(config),
            config.workers,
            "" if config.workers == 1 else "s",
            f", class {config.worker_class}" if config.bind else "",
        )
        if config.reload and on_terminal(config):
            log.info("pyfork %s loads %s", __version__, config.app, extra=terminal_style())

    def changed(self, cause: FilesChanged) -> None:
        """Files were saved."""
        log.info("reload: %s", _what(cause))

    def remember_cause(self, generation: int, cause: FilesChanged) -> None:
        """That has led to a new generation."""
        self._causes[generation] = cause

    def adopted(self, generation: int) -> None:
        """A generation serves."""
        cause = self._causes.get(generation)
        self._causes = {each: kept for each, kept in self._causes.items() if each > generation}
        interface = self._interface(generation)
        self._warn_of_readers(generation)
        if generation == self._generations.first:
            self._banner(generation, interface)
        elif cause and interface == ERROR_PAGE:
            log.info(
                "%s, and the application does not load: it answers with the reason until a save "
                "mends it",
                _what(cause),
                extra=terminal_style(),
            )
        elif cause:
            took = (time.monotonic() - cause.at) * 1000
            log.info("reloaded in %.0f ms: %s", took, _what(cause), extra=terminal_style("good"))

    def abandoned(self, order: Discard, serving: int) -> None:
        """A generation will not be."""
        if order.reason == SUPERSEDED:  # no failure: the newest is what everybody waits for
            log.info("reload: generation %d is not needed any more", order.generation)
            return
        text = (
            f"reload failed: generation {order.generation} is abandoned, "
            f"generation {serving} serves on: {order.reason}"
        )
        log.error(log_lines.with_detail(text, order.detail))

    def _purpose(self, config: Config) -> str:
        """What is served where; a script says later where."""
        first = self._generations.first
        scheme = self._generations.scheme(first)
        urls = [each.address.url(scheme) for each in self._ports.of_generation(first)]
        return f"serves {config.app} on {', '.join(urls)}" if urls else f"runs {config.app}"

    def _banner(self, generation: int, interface: str) -> None:
        config = self._generations.config(generation)
        if not on_terminal(config):
            return
        rows = [("open" if not number else "", url) for number, url in enumerate(self._urls())]
        rows += [("app", f"{config.app} ({_spoken(interface)})")]
        workers = f"{config.workers} of class {_class(config, interface)}"
        rows += [("workers", workers if interface != "script" else str(config.workers))]
        if config.reload:
            where = ", ".join(config.reload_dir) or "this directory"
            rows += [("reload", f"when a file in {where} changes")]
        rows += [("stop", "Ctrl-C")]
        took = (time.monotonic() - self._began) * 1000
        name = f"pyfork {__version__}"
        if interface == ERROR_PAGE:
            log.warning(
                "%s: the application does not load, and answers with the reason until a save "
                "mends it",
                name,
                extra=terminal_style(rows=rows),
            )
        else:
            log.info("%s is ready after %.0f ms", name, took, extra=terminal_style("good", rows))

    def _warn_of_readers(self, generation: int) -> None:
        if self._warned or not self._generations.config(generation).reload:
            return
        texts = self._ports.addresses(generation)
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
        """What its application speaks."""
        spoken = (each.interface for each in self._crew if each.generation == generation)
        return next(filter(None, spoken), "")

    def _urls(self) -> list[str]:
        first = self._generations.first
        scheme = self._generations.scheme(first)
        return [parse(text).url(scheme) for text in self._ports.addresses(first)]


def _what(cause: FilesChanged) -> str:
    """``shop/views.py changed (+3)``."""
    return f"{cause.path} {cause.verb}" + (f" (+{cause.others})" if cause.others else "")


def _spoken(interface: str) -> str:
    return interface.upper() if interface in ("wsgi", "asgi") else interface


def _class(config: Config, interface: str) -> str:
    if config.worker_class != "auto":
        return config.worker_class
    if interface == "wsgi":
        return "thread" if config.threads > 1 else "sync"
    return "asgi"
