"""The standard streams of Python: in the arbiter they never wait, elsewhere not for ever."""

import io
import os
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from pyfork.log.sink import Sink

if TYPE_CHECKING:
    from typing_extensions import Buffer

FLUSH_LIMIT = 1.0  # seconds in which what the application has printed leaves at its end


class _Raw(io.RawIOBase):
    """A stream that takes everything at once; lines that have no room are lost."""

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
    """From now on what this process prints is lost where nobody reads it, and nothing blocks.

    For the arbiter: its own messages, those of the configuration file and of hooks, warnings.
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
    """Give a child that was forked the streams that its application knows."""
    for name in _STREAMS:
        if raw := _raw(getattr(sys, name)):
            setattr(sys, name, raw.replaced)


def flush(patience: float = FLUSH_LIMIT) -> None:
    """Flush stdout and stderr; what takes longer than ``patience`` seconds is given up.

    Only for a process that ends now: the thread that flushes may be left behind.
    """
    flushing = threading.Thread(target=_flush, daemon=True)
    with suppress(RuntimeError):  # no thread can be started any more
        flushing.start()
        flushing.join(patience)


def _flush() -> None:
    for name in _STREAMS:
        with suppress(OSError, ValueError, AttributeError):  # closed, or there is none
            getattr(sys, name).flush()


def _raw(stream: object) -> _Raw | None:
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw if isinstance(raw, _Raw) else None


_STREAMS: dict[str, Literal[1, 2]] = {"stdout": 1, "stderr": 2}
