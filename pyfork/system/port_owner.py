"""Finds the process that listens on an address: by /proc on Linux, by psutil elsewhere.

Called only after a bind has failed, for an error message that says what to do. It only reads what
this user may see, and never raises for the rest.
"""

import contextlib
import ipaddress
import os
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from pyfork.address import Address, Inet, Unix
from pyfork.record import record

_LISTEN = "0A"  # st column of /proc/net/tcp (include/net/tcp_states.h)
_COMMAND_LENGTH = 100
T = TypeVar("T")


@record
class Holder:
    """A process that listens on an address which is wanted.

    ``pid`` is None, and ``command`` empty, when the socket can be seen but not its process (it is
    another user's, or in another container).
    """

    pid: int | None
    command: str
    address: Address  # to which it is bound; may be the wildcard of the wanted one


def holders(address: Address) -> list[Holder]:
    """The processes whose listeners conflict with ``address``, without their children.

    A server and its forked workers share one socket; only the server is named.
    """
    if sys.platform == "linux":
        return _from_proc(address)
    return _from_psutil(address) if isinstance(address, Inet) else []


def _from_proc(address: Address) -> list[Holder]:
    found: dict[str, Inet | Unix] = {}
    if isinstance(address, Inet):
        found.update(_nearest(address, _proc_tcp()))
    elif isinstance(address, Unix):
        found.update((inode, held) for inode, held in _proc_unix() if _same_path(held, address))
    if not found:
        return []
    pids = {pid: found[inode] for inode, pid in _proc_sockets() if inode in found}
    roots = [pid for pid in sorted(pids) if _parent(pid) not in pids]
    if not roots:
        return [Holder(None, "", held) for held in dict.fromkeys(found.values())]
    return [Holder(pid, _command(pid), pids[pid]) for pid in roots]


def _nearest(address: Inet, bound: Iterable[tuple[str, Inet]]) -> list[tuple[str, Inet]]:
    """Conflicts within the address family; if there are none, those with ``::``."""
    port = [(inode, held) for inode, held in bound if held.port == address.port]
    within = [(inode, held) for inode, held in port if _collide(address, held)]
    return within or [(inode, held) for inode, held in port if held.wildcard or address.wildcard]


def _collide(one: Inet, other: Inet) -> bool:
    if (":" in one.host) != (":" in other.host):
        return False
    return one.wildcard or other.wildcard or one.host == other.host


def _proc_tcp() -> Iterator[tuple[str, Inet]]:
    """Inode and address of each listening TCP socket in this network namespace."""
    for name in ("tcp", "tcp6"):
        for line in lines(f"/proc/net/{name}"):
            column = line.split()
            if column[3] == _LISTEN:
                host, _, port = column[1].partition(":")
                yield column[9], Inet(proc_host(host), int(port, 16))


def proc_host(digits: str) -> str:
    """The kernel prints the address as 32-bit words in the byte order of the machine."""
    words = (int(digits[i : i + 8], 16) for i in range(0, len(digits), 8))
    packed = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    ip = ipaddress.ip_address(packed)
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return str(mapped or ip)


def _proc_unix() -> Iterator[tuple[str, Unix]]:
    for line in lines("/proc/net/unix"):
        column = line.split(maxsplit=7)
        if len(column) == 8:
            path = column[7]
            yield column[6], Unix("\0" + path[1:] if path.startswith("@") else path)


def _same_path(held: Unix, asked: Unix) -> bool:
    if held.abstract or asked.abstract:
        return held == asked
    return held.path in (asked.path, os.path.abspath(asked.path))


def lines(path: str) -> list[str]:
    try:
        return _text(path).splitlines()[1:]
    except OSError:  # /proc is not mounted, or IPv6 is off
        return []


def _text(path: str) -> str:
    with open(path, errors="replace") as file:
        return file.read()


def _proc_sockets() -> Iterator[tuple[str, int]]:
    """Socket inode and pid of every open socket that this user may see."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            for link in links(f"/proc/{name}/fd"):
                if link.startswith("socket:["):
                    yield link[8:-1], int(name)


def links(directory: str) -> Iterator[str]:
    with contextlib.suppress(OSError):  # the process is gone meanwhile, or another user's
        for entry in os.listdir(directory):
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                yield os.readlink(f"{directory}/{entry}")


def _parent(pid: int) -> int | None:
    try:
        stat = _text(f"/proc/{pid}/stat")
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[1])


def _command(pid: int) -> str:
    try:
        text = _text(f"/proc/{pid}/cmdline").replace("\0", " ").strip()
        return _short(text or _text(f"/proc/{pid}/comm").strip())
    except OSError:
        return ""


def _short(command: str) -> str:
    """One line that is safe to print."""
    command = "".join(c if c.isprintable() else "?" for c in command)
    return command if len(command) <= _COMMAND_LENGTH else command[: _COMMAND_LENGTH - 3] + "..."


def _from_psutil(address: Inet) -> list[Holder]:
    """By psutil. On macOS, a user other than root sees only their own processes."""
    import psutil

    bound: dict[str, tuple[psutil.Process, Inet]] = {}
    for process in psutil.process_iter():
        for connection in _allowed(process.net_connections):
            if connection.status == psutil.CONN_LISTEN:
                held = Inet(_any(connection.laddr.ip, connection.family), connection.laddr.port)
                bound[f"{process.pid}/{connection.fd}"] = (process, held)
    near = _nearest(address, ((key, held) for key, (_, held) in bound.items()))
    pids = {bound[key][0].pid: (bound[key][0], held) for key, held in near}
    return [
        Holder(pid, _short(" ".join(_allowed(process.cmdline))), held)
        for pid, (process, held) in sorted(pids.items())
        if process.ppid() not in pids
    ]


def _any(ip: str, family: int) -> str:
    """The address, where macOS writes ``*`` or nothing for the wildcard."""
    if ip not in ("", "*"):
        return ip
    return "::" if family == socket.AF_INET6 else "0.0.0.0"


def _allowed(ask: Callable[[], list[T]]) -> list[T]:
    import psutil

    try:
        return ask()
    except psutil.Error:
        return []
