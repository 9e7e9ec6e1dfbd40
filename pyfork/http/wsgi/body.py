"""A request body, gathered before a WSGI application is called: in memory, then in a file."""

import io
from typing import IO

SPOOL = 512 * 1024  # bytes kept in memory


_SMALL = 2048  # bytes of a piece that is joined with one before it that is as small


def keep(pieces: list[bytes], data: bytes) -> None:
    """Append ``data`` to ``pieces`` that wait to be joined.

    A client that sends a few bytes at a time would have each of them cost an object, which takes 25
    times as much memory. Small ones are joined at once, which copies 2 KiB at most.
    """
    if pieces and len(data) < _SMALL and len(pieces[-1]) < _SMALL:
        pieces[-1] += data
    else:
        pieces.append(data)


class SpooledBody:
    """Takes pieces, gives a file at its start. Small bodies cost no more than their bytes."""

    __slots__ = ("_file", "_pieces", "_size")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._file: IO[bytes] | None = None

    def add(self, data: bytes) -> None:
        """Append. Raises OSError where the temporary directory is full."""
        self._size += len(data)
        if self._file is not None:
            self._file.write(data)
            return
        keep(self._pieces, data)
        if self._size > SPOOL:
            import tempfile  # most workers never see a large body

            self._file = tempfile.TemporaryFile(prefix="pyfork-body-")  # noqa: SIM115
            self._file.writelines(self._pieces)
            self._pieces.clear()

    def __len__(self) -> int:
        return self._size

    def open(self) -> IO[bytes]:
        """The whole body, as ``wsgi.input`` reads it."""
        if self._file is None:
            return io.BytesIO(b"".join(self._pieces))
        self._file.seek(0)
        return self._file

    def close(self) -> None:
        """Free the file, if there is one."""
        if self._file is not None:
            self._file.close()
