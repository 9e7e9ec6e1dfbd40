"""Bind an address: returns a listening socket, or raises a `BindError` that says what to do.

Every socket is non-blocking, listening and closed on exec. `unix` has what is special about unix
sockets; `bind_errors` explains the kernel's errors. Nothing here logs, forks or accepts.
"""

import contextlib
import os
import socket
import stat

from pyfork.address import Address, Inet, InheritedFd, Unix
from pyfork.errors import BindError
from pyfork.net import bind_errors, unix
from pyfork.record import record


@record
class Listener:
    """A bound, listening socket. The process that made it closes it; a forked child closes only
    ``socket``."""

    address: Address  # as bound: with the resolved host and the real port
    socket: socket.socket
    file: unix.SocketFile | None = None  # to remove at the end

    def close(self) -> None:
        """Stop listening, and remove the socket file unless another server has replaced it."""
        self.socket.close()
        if self.file is not None:
            self.file.remove()


def bind(
    address: Address, *, backlog: int, unix_mode: int = 0o666, unix_owner: str | None = None
) -> Listener:
    """Listen on ``address``.

    The socket file gets ``unix_mode`` and ``unix_owner`` ("user", "user:group" or ":group") before
    the first client can connect.

    Raises:
        BindError: the message names the process that has the address, if there is one.
    """
    match address:
        case Inet():
            return _bind_inet(address, backlog)
        case Unix():
            made, file = unix.bind(address, backlog=backlog, mode=unix_mode, owner=unix_owner)
            return Listener(address, made, file)
        case InheritedFd():
            return _from_inherited_fd(address)


def _bind_inet(address: Inet, backlog: int) -> Listener:
    family, where = _resolve(address)
    try:
        made = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise BindError(bind_errors.explain(address, error)) from error
    try:
        made.setblocking(False)
        # A restart must not wait for the TIME_WAIT of old connections.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Otherwise [::] would also bind the IPv4 port, and 0.0.0.0 beside it would fail.
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(where)
        # listen() can fail, too: two sockets with SO_REUSEADDR may bind, but only one can listen.
        made.listen(backlog)
    except OSError as error:
        made.close()
        raise BindError(bind_errors.explain(address, error)) from error
    return Listener(bound_address(made), made)


def _resolve(address: Inet) -> tuple[int, tuple[object, ...]]:
    """Family and sockaddr of a host. IPv4 is preferred, as in gunicorn and Node."""
    host = address.host.encode("ascii")  # for a str, Python would import the IDNA codec
    try:
        found = socket.getaddrinfo(host, address.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise BindError(
            f"cannot listen on {address}: no address is known for host {address.host!r}; write an "
            "IP address of this machine, or :PORT for every interface"
        ) from error
    family, _, _, _, where = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return family, where


def _from_inherited_fd(address: InheritedFd) -> Listener:
    """Take over an inherited descriptor, if it is a listening stream socket."""
    try:
        mode = os.fstat(address.fd).st_mode
    except OSError as error:
        raise BindError(
            f"{address}: file descriptor {address.fd} is not open; the program that starts pyfork "
            "must pass it on"
        ) from error
    if not stat.S_ISSOCK(mode):
        raise BindError(f"{address}: file descriptor {address.fd} is not a socket")
    made = socket.socket(fileno=address.fd)
    try:
        if made.type != socket.SOCK_STREAM:
            raise BindError(f"{address} is not a stream socket (TCP or unix)")
        if not made.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise BindError(
                f"{address} does not listen: the program that passes it must call listen() first"
            )
        made.setblocking(False)
        made.set_inheritable(False)
        return Listener(bound_address(made), made)
    except BaseException:
        made.detach()  # the descriptor stays open
        raise


def bind_reuseport(first: socket.socket, *, backlog: int) -> socket.socket:
    """Bind another socket to the same TCP address (SO_REUSEPORT).

    The kernel distributes connections among these sockets; each has its own queue.

    Raises:
        OSError: the system does not support it, or has no more sockets.
    """
    made = socket.socket(first.family, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if first.family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        for sock in (first, made):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind(first.getsockname())
        made.listen(backlog)
    except BaseException:
        made.close()
        raise
    return made


def from_fd(made: socket.socket, *, with_file: bool) -> Listener:
    """The listener of a socket that another arbiter has bound.

    ``with_file``: `Listener.close` removes its socket file.
    """
    address = bound_address(made)
    file = unix.file_of(address.path) if with_file and isinstance(address, Unix) else None
    return Listener(address, made, file)


def bound_address(made: socket.socket) -> Address:
    """The address that the kernel gave to a bound socket."""
    name = made.getsockname()
    if made.family == socket.AF_UNIX:
        return Unix(name.decode(errors="surrogateescape") if isinstance(name, bytes) else name)
    host, port = name[:2]
    with contextlib.suppress(OSError):
        if made.family == socket.AF_INET6 and name[3] and "%" not in host:
            host = f"{host}%{socket.if_indextoname(name[3])}"
    return Inet(host, port)
