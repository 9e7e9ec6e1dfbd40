"""The loggers of pyfork: their files, the format of a line, and the name of the process in it.

``pyfork.error`` has everything that an operator needs, ``pyfork.access`` one line for each
request. All state is in the logging package: the handlers of these loggers, and one `Identity`
filter that adds role, slot and generation to each record.
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
_OTHERS = ("gunicorn.error", "gunicorn.access")  # used by applications only
_NEVER = logging.CRITICAL + 1

OPEN_LIMIT = 0.5  # seconds at the start for a file on a file system that may hang
HANDLERS_LIMIT = 0.5  # seconds for the operator's handlers at the end of a process


class Identity(logging.Filter):
    """Adds ``role``, ``slot``, ``generation`` and ``identity`` to records.

    ``identity`` is shown in the line: " [worker 2 gen 5]", or nothing before `identify`.
    """

    role: str | None = None
    slot: int | None = None
    generation: int | None = None
    text: str = ""
    lost: int = 0  # lines that sinks, closed by now, could not write
    deferred: Deferred | None = None  # under --log-config

    def set_role(self, role: str, slot: int | None, generation: int | None) -> None:
        """Set the role of this process."""
        self.role, self.slot, self.generation = role, slot, generation
        words = [role]
        if slot is not None:
            words.append(str(slot))
        if generation is not None:
            words.append(f"gen {generation}")
        self.text = f" [{' '.join(words)}]"

    def filter(self, record: logging.LogRecord) -> bool:
        """Pass every record."""
        record.role, record.slot, record.generation = self.role, self.slot, self.generation
        record.identity = self.text
        return True

    def defer(self, deferred: Deferred | None) -> None:
        """Let ``deferred`` take the records of pyfork's loggers."""
        if self.deferred is not None and self.deferred is not deferred:
            self.lost += self.deferred.lost
        self.deferred = deferred
        if deferred is not None:
            self.mark_arbiter()
            for name in _OURS:
                deferred.divert(logging.getLogger(name))

    def mark_arbiter(self) -> None:
        """Mark the arbiter as the process without a thread."""
        if self.deferred is not None and self.role == "arbiter":
            self.deferred.arbiter = os.getpid()


def configure(config: Config) -> None:
    """Configure the loggers; a second call replaces what the first one did.

    Raises:
        ConfigError: a log file cannot be opened, or ``--log-config`` is invalid; the old
            configuration stays in force.
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
            _format_for_terminal(handler, config)
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
    enable_loggers()
    _limit_waits()
    for saved in before:
        identity.lost += saved.close()


def identify(role: str, slot: int | None = None, generation: int | None = None) -> None:
    """Name this process; every line of the error log has the name from now on."""
    identity = current_identity()
    identity.set_role(role, slot, generation)
    identity.lost = 0
    identity.mark_arbiter()
    if identity.deferred is not None:
        identity.deferred.begin()
    for sink in sinks():
        sink.begin()
    _limit_waits()


def _limit_waits() -> None:
    """Set how long writes wait: the arbiter never waits for a reader, others do briefly."""
    patience = 0.0 if current_identity().role == "arbiter" else PATIENCE
    for sink in sinks():
        sink.wait_for_room(patience)


def sinks() -> list[Sink]:
    """Return the sinks of this process."""
    handlers = (each for name in _OURS + _OTHERS for each in logging.getLogger(name).handlers)
    found = [handler.sink for handler in handlers if isinstance(handler, SinkHandler)]
    if (deferred := current_identity().deferred) and deferred.forward is not None:
        found.append(deferred.forward)
    return list({id(sink): sink for sink in found}.values())


def flush(patience: float = 0.0) -> bool:
    """Write waiting lines for ``patience`` seconds. Returns whether none waits any more."""
    for sink in sinks():
        sink.tend()
    waiting = [sink for sink in sinks() if sink.is_waiting]
    for sink in waiting:
        sink.flush(patience)
    return not any(sink.is_waiting for sink in waiting)


def finish() -> None:
    """Write waiting lines at the end of this process, or give up soon."""
    flush(PATIENCE)
    deferred = current_identity().deferred
    if deferred is not None and not deferred.flush(HANDLERS_LIMIT):
        atexit.unregister(logging.shutdown)  # it would wait for the lock of a handler that hangs


def lost() -> int:
    """Return the number of lines that this process could not write."""
    identity = current_identity()
    deferred = identity.deferred.lost if identity.deferred is not None else 0
    return identity.lost + deferred + sum(sink.lost for sink in sinks())


def current_identity() -> Identity:
    """Return the `Identity` filter of the error log; make it if it is missing."""
    logger = logging.getLogger(ERROR)
    for found in logger.filters:
        if isinstance(found, Identity):
            return found
    identity = Identity()
    logger.addFilter(identity)
    return identity


def enable_loggers() -> None:
    """Enable pyfork's loggers again: an application's configuration disables loggers that it
    does not name."""
    for name in _OURS + _OTHERS:
        logging.getLogger(name).disabled = False


def reopen() -> None:
    """Reopen all log files, including those of the application's file handlers.

    If a file cannot be opened, the error log says so and lines go on into the old one.
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
    """Open both sinks, or none: the old ones are closed afterwards."""
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
        sink = Sink(path, stream=stream, owner=owner)
        # A loop that runs does not wait; an error appears on stderr then.
        sink.wait_until_open(OPEN_LIMIT if current_identity().role is None else 0.0)
        return sink
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
    handler.addFilter(identity)  # records of child loggers pass the filters of handlers only
    logger = logging.getLogger(name)
    logger.addHandler(handler)
    logger.setLevel(level)
    logger.propagate = False
    return handler


def on_terminal(config: Config) -> bool:
    """Whether a person reads the error log on a terminal."""
    return config.error_logfile == "-" and not config.log_config and os.isatty(2)


def _format_for_terminal(handler: logging.Handler, config: Config) -> None:
    """Use the format for a terminal, and a shorter one in development."""
    from pyfork.log.terminal import ConsoleFormatter, HideOnTerminal

    brief = config.reload and config.log_level != "debug"
    handler.setFormatter(ConsoleFormatter(brief=brief, colour=wants_colour(2)))
    if brief:
        handler.addFilter(HideOnTerminal())


def _is_external(config: Config) -> bool:
    """Whether the operator configures logging."""
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
    """A logger as it was before `bare` removed its handlers."""

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
        """Close the handlers. Returns how many lines their sinks could not write."""
        lost = 0
        for handler in self.handlers:
            handler.close()
            if isinstance(handler, SinkHandler):
                handler.sink.close()
                lost += handler.sink.lost
                handler.sink.lost = 0  # two handlers may share one sink
        return lost
