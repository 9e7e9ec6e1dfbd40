"""The loggers of pyfork: where they write, what a line looks like, and who says it.

``pyfork.error`` has everything that an operator needs, ``pyfork.access`` one line a request. All
state is in the logging package's own registry: the handlers of those loggers, and one `Identity`
filter that puts role, slot and generation into each record.
"""

import atexit
import logging
import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Literal

from pyfork.config.config import Config
from pyfork.errors import ConfigError
from pyfork.log.deferred import Deferred
from pyfork.log.formatter import LineFormatter
from pyfork.log.libraries import Applications
from pyfork.log.sink import PATIENCE, Sink, SinkHandler
from pyfork.record import record
from pyfork.system.environment import wants_colour
from pyfork.system.users import group_id, user_id

ERROR = "pyfork.error"
ACCESS = "pyfork.access"

_OURS = ("pyfork", ERROR, ACCESS, "uvicorn", "uvicorn.error", "uvicorn.asgi")
_OTHERS = ("gunicorn.error", "gunicorn.access")  # an application's alone: we say nothing there
_NEVER = logging.CRITICAL + 1

HANDLERS_LIMIT = 0.5  # seconds that the operator's handlers have at the end of a process


class Identity(logging.Filter):
    """Puts ``role``, ``slot``, ``generation`` and ``identity`` into records.

    ``identity`` is what stands in the line: " [worker 2 gen 5]", or nothing before `identify`.
    """

    role: str | None = None
    slot: int | None = None
    generation: int | None = None
    text: str = ""
    lost: int = 0  # lines that sinks could not write which are closed now
    deferred: Deferred | None = None  # where the set-up is the operator's

    def become(self, role: str, slot: int | None, generation: int | None) -> None:
        """From now on this process is ``role``."""
        self.role, self.slot, self.generation = role, slot, generation
        words = [role]
        if slot is not None:
            words.append(str(slot))
        if generation is not None:
            words.append(f"gen {generation}")
        self.text = f" [{' '.join(words)}]"

    def filter(self, record: logging.LogRecord) -> bool:
        """Every record passes."""
        record.role, record.slot, record.generation = self.role, self.slot, self.generation
        record.identity = self.text
        return True

    def defer(self, deferred: Deferred | None) -> None:
        """From now on ``deferred`` takes what our loggers say."""
        if self.deferred is not None and self.deferred is not deferred:
            self.lost += self.deferred.lost
        self.deferred = deferred
        if deferred is not None:
            self.settle()
            for name in _OURS:
                deferred.divert(logging.getLogger(name))

    def settle(self) -> None:
        """Only the arbiter has no thread."""
        if self.deferred is not None and self.role == "arbiter":
            self.deferred.arbiter = os.getpid()


def configure(config: Config) -> None:
    """Set the loggers up as ``config`` says; called again, it replaces what it did before.

    Raises:
        ConfigError: a log file cannot be opened, or ``--log-config`` is no logging set-up; what
            was in force before still is.
    """
    error, access = _open_sinks(config)
    identity = current_identity()
    logging.getLogger(ACCESS).addFilter(identity)
    before = [_Saved.bare(logging.getLogger(name)) for name in _OURS + _OTHERS]
    if _is_external(config):
        _load_external(config, before)
    if error is not None:
        level: int = logging.getLevelName(config.log_level.upper())
        handler = _attach("pyfork", error, LineFormatter(), identity, level)
        if on_terminal(config):
            _make_pleasant(handler, config)
        handler = _attach("uvicorn", error, LineFormatter(), identity, level)
        handler.addFilter(Applications())
        _attach("gunicorn.error", error, LineFormatter(), identity, level)
        if access is None:
            _attach("gunicorn.access", error, LineFormatter(), identity, level)
    if access is not None:
        _attach(ACCESS, access, logging.Formatter("%(message)s"), identity, logging.INFO)
        _attach("gunicorn.access", access, LineFormatter("{message}"), identity, logging.INFO)
    elif not _is_external(config):
        logging.getLogger(ACCESS).setLevel(_NEVER)
    identity.defer(Deferred() if _is_external(config) else None)
    reclaim()
    _limit_waits()
    for saved in before:
        identity.lost += saved.close()


def identify(role: str, slot: int | None = None, generation: int | None = None) -> None:
    """Say who this process is; every line of the error log has it from now on."""
    identity = current_identity()
    identity.become(role, slot, generation)
    identity.lost = 0
    identity.settle()
    if identity.deferred is not None:
        identity.deferred.begin()
    for sink in sinks():
        sink.begin()
    _limit_waits()


def _limit_waits() -> None:
    """The arbiter never waits for the reader of a log; others do so for a moment."""
    patience = 0.0 if current_identity().role == "arbiter" else PATIENCE
    for sink in sinks():
        sink.wait_for_room(patience)


def sinks() -> list[Sink]:
    """What this process logs into."""
    handlers = (each for name in _OURS + _OTHERS for each in logging.getLogger(name).handlers)
    found = [handler.sink for handler in handlers if isinstance(handler, SinkHandler)]
    if (deferred := current_identity().deferred) and deferred.forward is not None:
        found.append(deferred.forward)
    return list({id(sink): sink for sink in found}.values())


def flush(patience: float = 0.0) -> bool:
    """Write lines that wait for room, for ``patience`` seconds; whether none waits any more."""
    waiting = [sink for sink in sinks() if sink.is_waiting]
    for sink in waiting:
        sink.flush(patience)
    return not any(sink.is_waiting for sink in waiting)


def finish() -> None:
    """This process ends: write what waits, or give it up soon."""
    flush(PATIENCE)
    deferred = current_identity().deferred
    if deferred is not None and not deferred.flush(HANDLERS_LIMIT):
        atexit.unregister(logging.shutdown)  # which would wait for the lock of a handler that hangs


def lost() -> int:
    """How many lines this process could not write."""
    identity = current_identity()
    deferred = identity.deferred.lost if identity.deferred is not None else 0
    return identity.lost + deferred + sum(sink.lost for sink in sinks())


def current_identity() -> Identity:
    """Who this process is: the filter of the error log, made where it is missing."""
    logger = logging.getLogger(ERROR)
    for found in logger.filters:
        if isinstance(found, Identity):
            return found
    identity = Identity()
    logger.addFilter(identity)
    return identity


def reclaim() -> None:
    """Enable our loggers again: an application's logging set-up disables what it does not name."""
    for name in _OURS + _OTHERS:
        logging.getLogger(name).disabled = False


def reopen() -> None:
    """Open all log files anew, those of the application's file handlers too.

    A file that cannot be opened is told in the error log, and its lines go on into the old one.
    """
    for handler in _handlers():
        if isinstance(handler, logging.FileHandler):
            _attempt(partial(_reopen_file, handler), handler.baseFilename)
    for sink in sinks():
        _attempt(sink.reopen, sink.path)
    if (deferred := current_identity().deferred) is not None:
        deferred.reopen()


def _attempt(open_anew: Callable[[], None], path: str | None) -> None:
    try:
        open_anew()
    except OSError as error:
        logging.getLogger(ERROR).error("cannot reopen log file %s: %s", path, error.strerror)


def _reopen_file(handler: logging.FileHandler) -> None:
    handler.acquire()
    try:
        old, handler.stream = handler.stream, handler._open()
        if old is not None:
            old.close()
    finally:
        handler.release()


def _handlers() -> Iterator[logging.Handler]:
    registry = logging.getLogger().manager.loggerDict
    loggers = [entry for entry in registry.values() if isinstance(entry, logging.Logger)]
    for logger in (logging.getLogger(), *loggers):
        yield from logger.handlers


def _open_sinks(config: Config) -> tuple[Sink | None, Sink | None]:
    """Both are open before anything old is let go of, or neither."""
    if _is_external(config):
        return None, None
    error = _open(config, config.error_logfile, "--error-logfile", 2)
    try:
        path = config.access_logfile
        return error, _open(config, path, "--access-logfile", 1) if path else None
    except ConfigError:
        error.close()
        raise


def _open(config: Config, path: str, flag: str, stream: Literal[1, 2]) -> Sink:
    owner = _user_id(config.user), _group_id(config.group)
    try:
        return Sink(path, stream=stream, owner=owner)
    except OSError as error:
        raise ConfigError(
            f"{flag}: cannot open {path}: {error.strerror}; choose a file in a directory that "
            "exists and may be written to, or - for the terminal"
        ) from error


def _user_id(user: str | None) -> int:
    try:
        return -1 if user is None else user_id(user)
    except KeyError as error:
        raise ConfigError(f"--user: user {user!r} is not known on this machine") from error


def _group_id(group: str | None) -> int:
    try:
        return -1 if group is None else group_id(group)
    except KeyError as error:
        raise ConfigError(f"--group: group {group!r} is not known on this machine") from error


def _attach(
    name: str, sink: Sink, formatter: logging.Formatter, identity: Identity, level: int
) -> logging.Handler:
    handler = SinkHandler(sink)
    handler.setFormatter(formatter)
    handler.addFilter(identity)  # records of child loggers pass handlers' filters only
    logger = logging.getLogger(name)
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False
    return handler


def on_terminal(config: Config) -> bool:
    """Whether a person reads the error log while it is written."""
    return config.error_logfile == "-" and not config.log_config and os.isatty(2)


def _make_pleasant(handler: logging.Handler, config: Config) -> None:
    """On a terminal, and there in development: for who works at it."""
    from pyfork.log.terminal import ConsoleFormatter, HideOnTerminal

    brief = config.reload and config.log_level != "debug"
    handler.setFormatter(ConsoleFormatter(brief=brief, colour=wants_colour(2)))
    if brief:
        handler.addFilter(HideOnTerminal())


def _is_external(config: Config) -> bool:
    """Whether the set-up is somebody else's."""
    return bool(config.log_config or config.log_config_dict)


def _load_external(config: Config, before: list["_Saved"]) -> None:
    from pyfork.log import log_config

    try:
        if config.log_config_dict:
            log_config.load_dictionary(config.log_config_dict)
        else:
            log_config.load(config.log_config or "")
    except ConfigError:
        for saved in before:
            saved.restore()
        identity = current_identity()
        identity.defer(identity.deferred)
        raise


@record
class _Saved:
    """A logger as it was before it was laid bare."""

    logger: logging.Logger
    level: int
    propagate: bool
    handlers: list[logging.Handler]

    @classmethod
    def bare(cls, logger: logging.Logger) -> "_Saved":
        saved = cls(logger, logger.level, logger.propagate, logger.handlers[:])
        logger.setLevel(logging.NOTSET)
        logger.propagate = True
        for handler in saved.handlers:
            logger.removeHandler(handler)
        logger.__dict__.pop("callHandlers", None)  # see Deferred.divert
        return saved

    def restore(self) -> None:
        _Saved.bare(self.logger)
        self.logger.setLevel(self.level)
        self.logger.propagate = self.propagate
        for handler in self.handlers:
            self.logger.addHandler(handler)

    def close(self) -> int:
        """Close the handlers. Returns how many lines theirs could not write."""
        lost = 0
        for handler in self.handlers:
            handler.close()
            if isinstance(handler, SinkHandler):
                handler.sink.close()
                lost += handler.sink.lost
                handler.sink.lost = 0  # two handlers may have one
        return lost
