"""What a connection may be waiting for. Each has its deadline: see `deadlines`."""

from enum import IntEnum


class ConnectionPhase(IntEnum):
    """What a connection waits for."""

    FRESH = 0  # the first request
    IDLE = 1  # the next request
    HEAD = 2  # the rest of a head
    BODY = 3  # the rest of a body
    APP = 4  # the application's response to begin
    STREAM = 5  # more of a response from the application
    WRITE = 6  # the client to take what was written
    LINGER = 7  # the client to close
