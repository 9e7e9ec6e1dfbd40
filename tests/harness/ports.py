"""Ports for servers that must know theirs before they start."""

import random
import socket

# Below the range from which the kernel takes ports for clients, of which the tests have many:
# one from there could be anybody's by the time that it is bound.
_RANGE = range(20000, 32000)


def free_port(host: str = "127.0.0.1", kind: int = socket.SOCK_STREAM) -> int:
    """A port that nobody has now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        port = random.choice(_RANGE)
        with socket.socket(family, kind) as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
