"""The phases of a connection: what it waits for. `deadlines` has their limits."""

from enum import IntEnum


class ConnectionPhase(IntEnum):
    """The phases of a connection by what it waits for, in words: `WAITS_FOR`."""

    FRESH = 0
    IDLE = 1
    HEAD = 2
    BODY = 3
    APP = 4
    STREAM = 5
    WRITE = 6
    LINGER = 7


WAITS_FOR = {
    ConnectionPhase.FRESH: "the first byte of the first request",
    ConnectionPhase.IDLE: "the next request",
    ConnectionPhase.HEAD: "the rest of a head",
    ConnectionPhase.BODY: "the rest of a body",
    ConnectionPhase.APP: "the application to begin its response",
    ConnectionPhase.STREAM: "more of a response from the application",
    ConnectionPhase.WRITE: "the client to read the written data",
    ConnectionPhase.LINGER: "the client to close",
}
