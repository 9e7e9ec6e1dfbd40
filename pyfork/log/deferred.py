"""Handlers of the operator (``--log-config``), which may block or raise: no loop calls them.

In a worker a thread calls them for records of pyfork's own loggers; the application's loggers are
not changed. The arbiter has no threads: it sends records as lines of JSON to a process that calls
the handlers (`pyfork.arbiter.children.log_process`). Records beyond a bounded queue are lost and
counted.
"""

import json
import logging
import os
import time
from _thread import start_new_thread
from collections import deque
from functools import partial
from queue import SimpleQueue
from typing import Any

from pyfork.log.formatter import indented
from pyfork.log.sink import Sink, write_to_stderr

LIMIT = 1000  # queued records
REOPEN = "reopen"  # a line that is not a record: reopen the log files

_FORMATTER = logging.Formatter()
_Waiting = tuple[logging.Logger, logging.LogRecord]


class Deferred:
    """Takes records of loggers, and has their handlers called elsewhere."""

    def __init__(self) -> None:
        self.arbiter = 0  # id of the process without a thread
        self.forward: Sink | None = None  # to the process with a thread
        self.lost = 0
        self._early: deque[str] = deque()  # records from before that process
        self._pid = 0  # of the process that the thread belongs to
        self._queue: SimpleQueue[_Waiting] = SimpleQueue()
        self._handled = self._taken = 0
        self._unreported = 0  # lost records that the log does not report yet
        self._failing = False

    def divert(self, logger: logging.Logger) -> None:
        """Take the records of ``logger`` that pass its filters."""
        logger.callHandlers = partial(self.take, logger)  # type: ignore[method-assign]

    def take(self, logger: logging.Logger, record: logging.LogRecord) -> None:
        """Have ``record`` handled. Does not wait; raises nothing."""
        _escape(record)
        if os.getpid() != self.arbiter:
            self._enqueue(logger, record)
        elif self.forward is not None:
            self.forward.write(_encoded(record))
        elif len(self._early) < LIMIT:
            self._early.append(_encoded(record))
        else:
            self.lost += 1

    def attach(self, forward: Sink) -> None:
        """Send the arbiter's records to ``forward`` from now on."""
        self.forward = forward
        while self._early:
            forward.write(self._early.popleft())

    def reopen(self) -> None:
        """Tell the log process that files were rotated."""
        if self.forward is not None and os.getpid() == self.arbiter:
            self.forward.write(REOPEN)

    def begin(self) -> None:
        """Reset the counts in a forked process."""
        self.lost = self._unreported = 0

    # In a process with a thread.

    @property
    def is_full(self) -> bool:
        """Whether the next record would be lost."""
        return self._pid == os.getpid() and self._queue.qsize() >= LIMIT

    def receive(self, line: str) -> None:
        """Handle a record that the arbiter sent."""
        record = logging.makeLogRecord(json.loads(line))
        self._enqueue(logging.getLogger(record.name), record)

    def flush(self, patience: float) -> bool:
        """Wait ``patience`` seconds at most until all records are handled. Returns whether
        they are."""
        until = time.monotonic() + patience
        while self._pid == os.getpid() and self._handled < self._taken:
            if time.monotonic() > until:
                return False
            time.sleep(0.005)
        return True

    def _enqueue(self, logger: logging.Logger, record: logging.LogRecord) -> None:
        if self._pid != os.getpid():  # the thread does not exist in a forked child
            self._pid, self._queue = os.getpid(), SimpleQueue()
            self._handled = self._taken = 0
            try:
                start_new_thread(self._run, (self._queue,))
            except RuntimeError as error:  # at exit, or at a limit: the next record tries again
                self._pid = 0
                write_to_stderr(f"{error}: {record.msg}")
                return
        if self._queue.qsize() >= LIMIT:
            self.lost += 1
            self._unreported += 1
        else:
            self._taken += 1
            self._queue.put((logger, record))

    def _run(self, queue: "SimpleQueue[_Waiting]") -> None:
        while True:
            logger, record = queue.get()
            try:
                logging.Logger.callHandlers(logger, record)
            except BaseException as error:  # noqa: BLE001 - any exception; the next record may work
                if not self._failing:
                    write_to_stderr(
                        f"a logging handler raised {type(error).__name__}: {indented(str(error))}"
                    )
                self._failing = True
            else:
                self._failing = False
            self._handled += 1
            if self._unreported and queue.empty():
                count, self._unreported = self._unreported, 0
                what = "1 line was lost" if count == 1 else f"{count} lines were lost"
                logging.getLogger("pyfork.error").warning(
                    "%s: a logging handler took no more", what
                )


def _escape(record: logging.LogRecord) -> None:
    """Escape text in ``record`` that could forge a line under any formatter."""
    try:
        text = record.getMessage()
    except Exception as error:  # noqa: BLE001 - any argument may fail to print
        text = f"cannot print a record: {error!r}: {record.msg!r}\n"
    if not text.isprintable():
        record.msg, record.args = indented(text), None
    if record.exc_info and not record.exc_text:
        record.exc_text = f"  {indented(_FORMATTER.formatException(record.exc_info))}"


def _encoded(record: logging.LogRecord) -> str:
    """Encode ``record`` as one line for `Deferred.receive`."""
    fields: dict[str, Any] = record.__dict__ | {"msg": record.getMessage()}
    for name in ("args", "exc_info"):
        fields[name] = None
    return json.dumps(fields, default=repr)
