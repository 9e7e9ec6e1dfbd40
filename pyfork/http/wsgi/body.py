"""A request body, buffered before a WSGI application is called: in memory, then in a file."""

import io
from typing import IO

SPOOL = 512 * 1024  # bytes kept in memory


_SMALL = 2048  # bytes; smaller pieces are joined


def keep(pieces: list[bytes], data: bytes) -> None:
    """Append ``data`` to ``pieces`` that will be joined.

    Each tiny piece of a client would cost an object, 25 times as much memory. Small pieces are
    joined at once, which copies 2 KiB at most.
    """
    if pieces and len(data) < _SMALL and len(pieces[-1]) < _SMALL:
        pieces[-1] += data
    else:
        pieces.append(data)


class SpooledBody:
    """Collects pieces; returns a file. Small bodies cost only their bytes."""

    __slots__ = ("_file", "_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._file: IO[bytes] | None = None

    def add(self, data: bytes) -> None:
        """Append ``data``. Raises OSError if the temporary directory is full."""
        self._size += len(data)
        if self._file is not None:
            self._file.write(data)
            return
        keep(self._pieces, data)
        if self._size > SPOOL:
            import tempfile  # rarely needed

            self._file = tempfile.TemporaryFile(prefix="pyfork-body-")  # noqa: SIM115
            self._file.writelines(self._pieces)
            self._pieces.clear()

    def __len__(self) -> int:
        return self._size

    def open(self) -> IO[bytes]:
        """Return the whole body as a file, for ``wsgi.input``."""
        if self._file is None:
            return io.BytesIO(b"".join(self._pieces))
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()
