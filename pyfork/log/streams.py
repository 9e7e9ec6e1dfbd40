"""Python's standard streams: in the arbiter they never block, elsewhere not for long."""

import io
import os
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from pyfork.log.sink import Sink

if TYPE_CHECKING:
    from typing_extensions import Buffer

FLUSH_LIMIT = 1.0  # seconds for flushing the application's output at exit


class _Raw(io.RawIOBase):
    """A stream that takes everything at once; lines without room are lost."""

    def __init__(self, number: Literal[1, 2], replaced: object) -> None:
        self.replaced = replaced
        self._number = number
        self._sink = Sink("-", stream=number)
        self._sink.wait_for_room(0.0)

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return os.isatty(self._number)

    def writable(self) -> bool:
        return True

    def write(self, data: "Buffer") -> int:
        taken = bytes(data)
        self._sink.write_lines(taken)
        return len(taken)


def never_wait() -> None:
    """Make the standard streams of this process non-blocking: output without room is lost.

    The arbiter's streams carry its own messages, output of the configuration file and of hooks,
    and warnings.
    """
    for name, number in _STREAMS.items():
        replaced = getattr(sys, name)
        if replaced is None or _raw(replaced):
            continue
        with suppress(OSError):  # it is closed
            raw = _Raw(number, replaced)
            text = io.TextIOWrapper(
                io.BufferedWriter(raw), "utf-8", "backslashreplace", line_buffering=True
            )
            setattr(sys, name, text)


def restore() -> None:
    """Restore the original streams in a forked child."""
    for name in _STREAMS:
        if raw := _raw(getattr(sys, name)):
            setattr(sys, name, raw.replaced)


def flush(patience: float = FLUSH_LIMIT) -> None:
    """Flush stdout and stderr for ``patience`` seconds at most.

    Only for a process that is about to exit: the flushing thread may remain.
    """
    flushing = threading.Thread(target=_flush, daemon=True)
    with suppress(RuntimeError):  # no thread can be started any more
        flushing.start()
        flushing.join(patience)


def _flush() -> None:
    for name in _STREAMS:
        with suppress(OSError, ValueError, AttributeError):  # closed, or missing
            getattr(sys, name).flush()


def _raw(stream: object) -> _Raw | None:
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw if isinstance(raw, _Raw) else None


_STREAMS: dict[str, Literal[1, 2]] = {"stdout": 1, "stderr": 2}
