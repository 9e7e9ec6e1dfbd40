"""The listening sockets of a group of processes, read from the kernel. Linux only."""

import os
import socket
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping

from pyfork.address import Inet, Unix
from pyfork.record import entity, field
from pyfork.system.port_owner import lines, links, proc_host

_LISTEN, _UNCONNECTED = "0A", "07"  # st column (include/net/tcp_states.h)
_ACCEPTS = 1 << 16  # flags column of /proc/net/unix: __SO_ACCEPTCON
_TCP_INFO = struct.Struct("8B6I")  # the first fields of struct tcp_info


@entity
class SocketInfo:
    """One socket, which several processes may share."""

    kind: str  # "tcp", "udp" or "unix"
    address: str
    inode: int
    queue: int | None  # waiting connections, or bytes of datagrams; None: unknown
    pids: list[int] = field(default_factory=list)  # of the group, that have it open


def listening_sockets(pids: Iterable[int]) -> list[SocketInfo]:
    """The sockets on which ``pids`` listen, as far as this user may see them."""
    holders: dict[int, list[int]] = {}
    for pid in pids:
        inodes = {int(link[8:-1]) for link in links(f"/proc/{pid}/fd") if _is_socket(link)}
        for inode in inodes:
            holders.setdefault(inode, []).append(pid)
    found = [each for each in (*_inet(), *_unix()) if each.inode in holders]
    for info in found:
        info.pids = holders[info.inode]
    return sorted(found, key=lambda each: (each.kind, each.address, each.inode))


def queues(sockets: Iterable[socket.socket]) -> Mapping[int, tuple[int, int]]:
    """For each inode: the number of connections that wait to be accepted, and its limit."""
    found = {}
    for sock in sockets:
        if (length := queue(sock)) is not None:
            found[os.fstat(sock.fileno()).st_ino] = length
    return found


def queue(listener: socket.socket) -> tuple[int, int] | None:
    """The number of connections that wait to be accepted, and its limit.

    None: the system does not tell, as for unix sockets.
    """
    tcp = listener.type == socket.SOCK_STREAM and listener.family != socket.AF_UNIX
    if not tcp or sys.platform != "linux":
        return None
    raw = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    *_, waiting, limit = _TCP_INFO.unpack(raw)  # of a listener: the fields unacked and sacked
    return waiting, limit


def _is_socket(link: str) -> bool:
    return link.startswith("socket:[")


def _inet() -> Iterator[SocketInfo]:
    for table, state in (("tcp", _LISTEN), ("udp", _UNCONNECTED)):
        for name in (table, f"{table}6"):
            for line in lines(f"/proc/net/{name}"):
                column = line.split()
                if column[3] == state:
                    host, _, port = column[1].partition(":")
                    address = str(Inet(proc_host(host), int(port, 16)))
                    waiting = int(column[4].partition(":")[2], 16)
                    yield SocketInfo(table, address, int(column[9]), waiting)


def _unix() -> Iterator[SocketInfo]:
    for line in lines("/proc/net/unix"):
        column = line.split(maxsplit=7)
        if len(column) == 8 and int(column[3], 16) & _ACCEPTS:
            path = column[7]
            name = Unix("\0" + path[1:] if path.startswith("@") else path)
            yield SocketInfo("unix", str(name), int(column[6]), None)
