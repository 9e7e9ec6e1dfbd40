"""Listeners: an address becomes a listening socket, or a `BindError` that says what to do.

Every socket made here is non-blocking, listening and closed on exec. What is particular to unix
socket files is in `unix`; what the kernel's refusals mean is in `refusal`. Nothing here logs,
forks or accepts.
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
    """A bound, listening socket. Whoever made it closes it; a process that inherited it by fork
    closes the socket alone."""

    address: Address  # as bound: resolved host, real port
    socket: socket.socket
    file: unix.SocketFile | None = None  # what to remove at the end

    def close(self) -> None:
        """Stop listening, and remove the socket file unless it is another server's by now."""
        self.socket.close()
        if self.file is not None:
            self.file.remove()


def bind(
    address: Address, *, backlog: int, unix_mode: int = 0o666, unix_owner: str | None = None
) -> Listener:
    """A listener on ``address``.

    ``unix_mode`` and ``unix_owner`` ("user", "user:group" or ":group") are those of the socket
    file, and in force before the first connection can come.

    Raises:
        BindError: it cannot be had; the message names the process that has it.
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
        # A restart must not wait for the old connections' TIME_WAIT to pass.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Or [::] would take the IPv4 side of its port along, and 0.0.0.0 fail next to it.
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(where)
        # It can be listen() that fails: two sockets with SO_REUSEADDR may bind, only one listens.
        made.listen(backlog)
    except OSError as error:
        made.close()
        raise BindError(bind_errors.explain(address, error)) from error
    return Listener(bound_address(made), made)


def _resolve(address: Inet) -> tuple[int, tuple[object, ...]]:
    """Family and sockaddr. A name with both families means IPv4, as in gunicorn and Node."""
    host = address.host.encode("ascii")  # of a str, Python would load the IDNA codec first
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
    """Take over an open descriptor, after looking that it is what it should be."""
    try:
        mode = os.fstat(address.fd).st_mode
    except OSError as error:
        raise BindError(
            f"{address}: file descriptor {address.fd} is not open; whatever starts pyfork has to "
            "pass it on"
        ) from error
    if not stat.S_ISSOCK(mode):
        raise BindError(f"{address}: file descriptor {address.fd} is not a socket")
    made = socket.socket(fileno=address.fd)
    try:
        if made.type != socket.SOCK_STREAM:
            raise BindError(f"{address} is not a stream socket (TCP or unix)")
        if not made.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise BindError(f"{address} does not listen: whoever passes it calls listen() first")
        made.setblocking(False)
        made.set_inheritable(False)
        return Listener(bound_address(made), made)
    except BaseException:
        made.detach()  # it stays whose it was
        raise


def bind_reuseport(first: socket.socket, *, backlog: int) -> socket.socket:
    """Another socket on the same TCP address: the kernel shares connections out among them, and
    each has a queue of its own.

    Raises:
        OSError: the system has no such thing, or no more of it.
    """
    made = socket.socket(first.family, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if first.family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        for each in (first, made):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind(first.getsockname())
        made.listen(backlog)
    except BaseException:
        made.close()
        raise
    return made


def from_fd(made: socket.socket, *, with_file: bool) -> Listener:
    """A listener that another arbiter bound. ``with_file``: its file, if any, is ours to remove."""
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
