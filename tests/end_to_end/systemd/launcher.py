"""Starts a program as systemd does: with sockets, in the same process, so that LISTEN_PID is right.

python -m tests.end_to_end.systemd.launcher http=127.0.0.1:0 admin=/run/a.sock -- COMMAND...
"""

import os
import socket
import sys


def bound(place: str) -> socket.socket:
    """A socket that listens: on a path, or on HOST:PORT."""
    made = socket.socket(socket.AF_UNIX if place.startswith("/") else socket.AF_INET)
    host, _, port = place.rpartition(":")
    made.bind(place if place.startswith("/") else (host, int(port)))
    made.listen()
    return made


def main(words: list[str]) -> None:
    """Become the command, with the sockets as fds 3 and up."""
    split = words.index("--")
    pairs = [word.partition("=") for word in words[:split]]
    sockets = [bound(place) for _, _, place in pairs]
    high = [os.dup2(each.fileno(), 100 + at) for at, each in enumerate(sockets)]
    for each in sockets:
        each.close()
    for at, fd in enumerate(high):
        os.dup2(fd, 3 + at)
        os.close(fd)
    listen = {
        "LISTEN_FDS": str(len(pairs)),
        "LISTEN_FDNAMES": ":".join(name for name, _, _ in pairs),
        "LISTEN_PID": str(os.getpid()),
    }
    command = words[split + 1 :]
    os.execvpe(command[0], command, {**os.environ, **(listen if pairs else {})})


if __name__ == "__main__":
    main(sys.argv[1:])
