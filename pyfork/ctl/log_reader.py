"""Reads a log file as records: the last ones, and those that come.

A file that is rotated, by renaming or by truncation, is read on. Nothing here prints.
"""

import io
import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterator

from pyfork.record import record

LOOK = 0.2  # seconds between two looks for more
HISTORY = 64 << 20  # bytes from the end that are searched for the last records

_LINE = re.compile(
    r"\[(?P<time>[^\]]+)\] \[(?P<pid>\d+)\] \[(?P<level>[A-Z]+)\]"
    r"(?: \[(?P<process>[a-z]+(?: (?P<slot>\d+))?[^\]]*)\])? (?P<message>.*)",
    re.DOTALL,
)


@record
class LogRecord:
    """One record: a line of pyfork's own form and those below it, or any other line."""

    text: str
    level: str = ""  # empty: it is not in pyfork's own form, as what an application prints
    time: str = ""
    pid: int | None = None
    slot: int | None = None  # of the worker that has written it
    message: str = ""

    @classmethod
    def parse(cls, text: str) -> "LogRecord":
        """The record of these lines."""
        found = _LINE.fullmatch(text)
        if found is None:
            return cls(text, message=text)
        return cls(
            text,
            level=found["level"],
            time=found["time"],
            pid=int(found["pid"]),
            slot=int(found["slot"]) if found["slot"] else None,
            message=found["message"],
        )


def last(
    file: io.BufferedReader, count: int, chosen: Callable[[LogRecord], bool]
) -> list[LogRecord]:
    """The last ``count`` chosen records of a file, which is then at the end of them."""
    end = file.seek(0, io.SEEK_END)
    start = file.seek(max(0, end - HISTORY))
    data = file.read(end - start)
    complete = data[: data.rfind(b"\n") + 1]
    file.seek(end - len(data) + len(complete))
    lines = complete.decode(errors="replace").split("\n")[:-1]
    return list(deque(filter(chosen, _records(lines)), count)) if count else []


def follow(path: str, file: io.BufferedReader) -> Iterator[LogRecord]:
    """The records that are added to ``file``, or to what replaces it at ``path``, for ever."""
    rest = b""
    try:
        while True:
            data = file.read()
            rest += data
            lines, newline, rest = rest.rpartition(b"\n")
            if newline:
                yield from _records(lines.decode(errors="replace").split("\n"))
            if data:
                continue
            time.sleep(LOOK)
            if file.tell() > os.fstat(file.fileno()).st_size:  # truncated
                file.seek(0)
                rest = b""
            elif _is_replaced(path, file.fileno()) and not file.peek(1):
                file.close()
                file = open(path, "rb")  # noqa: SIM115
                rest = b""
    finally:
        file.close()


def _is_replaced(path: str, fd: int) -> bool:
    """Whether the name leads to another file by now; one that is gone may come back."""
    try:
        return not os.path.samestat(os.stat(path), os.fstat(fd))
    except FileNotFoundError:
        return False


def _records(lines: list[str]) -> Iterator[LogRecord]:
    """Lines that are indented belong to the one of pyfork's form before them."""
    record: list[str] = []
    for line in lines:
        if record and not (line.startswith("  ") and record[0].startswith("[")):
            yield LogRecord.parse("\n".join(record))
            record = []
        record.append(line)
    if record:
        yield LogRecord.parse("\n".join(record))
