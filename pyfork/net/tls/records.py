"""Boundaries of TLS records in a client's bytes (RFC 8446 5.1).

OpenSSL handles any number of records without content (KeyUpdate, renegotiation, empty ones) in one
call, and each may cost as much as a small request. So they are counted first.
"""

RECORDS = 64  # of one client; after so many the others have their turn

# Records in a row that carry no content, from which on a client is cut. OpenSSL makes new keys for
# a KeyUpdate, which takes as long as a small request.
EMPTY_RECORDS = 32

HEAD = 5  # bytes: type, version, and the length of what follows


class RecordCounter:
    """Finds the records in a stream that comes in pieces."""

    __slots__ = ("_head", "_rest")

    def __init__(self) -> None:
        self._head = b""  # the beginning of a record's header
        self._rest = 0  # bytes of the last record still to come

    def advance(self, data: bytes | memoryview, most: int) -> tuple[int, int]:
        """Advance in ``data`` until ``most`` records have begun and another would.

        Returns the position, and how many records have begun.
        """
        at, count, size = self._rest, 0, len(data)
        while at < size and count < most:
            head = self._head + bytes(data[at : at + HEAD - len(self._head)])
            at += HEAD - len(self._head)
            if at > size:
                self._head = head
                self._rest = 0
                return size, count
            self._head = b""
            at += int.from_bytes(head[3:])
            count += 1
        self._rest = max(at - size, 0)
        return min(at, size), count
