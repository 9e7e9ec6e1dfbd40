"""Explains why an address cannot be bound, in one sentence that says what to do."""

import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from pyfork.address import Address, Inet, Unix

if TYPE_CHECKING:
    from pyfork.system.port_owner import Holder


def explain(address: Address, error: OSError) -> str:
    """The message for ``error``, which was raised when ``address`` was bound."""
    why = _REASONS.get(error.errno or 0, _other)(address, error)
    return f"cannot listen on {address}: {why}"


def _in_use(address: Address, error: OSError) -> str:
    from pyfork.system.port_owner import holders  # imported only after a failure

    found = holders(address)
    if not found:
        return "the address is in use by a process that this user cannot see"
    names = " and ".join(dict.fromkeys(_name(holder) for holder in found))
    notes = dict.fromkeys(_overlap(address, holder) for holder in found)
    return f"the address is in use by {names}{''.join(notes)}; {_advice(found)}"


def _advice(found: "list[Holder]") -> str:
    mine = all(holder.pid == os.getpid() for holder in found)
    return "remove one of the two" if mine else "stop it or choose another address"


def _name(holder: "Holder") -> str:
    if holder.pid == os.getpid():
        return "this command itself, for another --bind"
    if holder.pid is None:
        return "a process of another user or container"
    return f"pid {holder.pid} ({holder.command})" if holder.command else f"pid {holder.pid}"


def _overlap(address: Address, holder: "Holder") -> str:
    """Explain why two different addresses conflict."""
    held = holder.address
    if not (isinstance(address, Inet) and isinstance(held, Inet)) or held.host == address.host:
        return ""
    if held.wildcard:
        return f", which listens on {held}: that is every interface, and {address.host} is one"
    if address.wildcard:
        return f", which listens on {held}: {address.host} is every interface, {held.host} included"
    return f", which listens on {held}"


def _denied(address: Address, error: OSError) -> str:
    if isinstance(address, Inet):
        return (
            f"ports below 1024 need a privilege; choose a port such as {8000 + address.port}, "
            "start as root with --user, or give the service CAP_NET_BIND_SERVICE"
        )
    return "no permission; the directory must be writable, and root may set any owner"


def _not_here(address: Address, error: OSError) -> str:
    return (
        "no interface of this machine has that address; write one that it has, or 0.0.0.0 or "
        "[::] for all"
    )


def _missing(address: Address, error: OSError) -> str:
    where = os.path.dirname(os.path.abspath(_path(address)))
    return f"directory {where} does not exist; create it first"


def _no_directory(address: Address, error: OSError) -> str:
    return f"a part of {os.path.dirname(os.path.abspath(_path(address)))} is not a directory"


def _no_family(address: Address, error: OSError) -> str:
    return "this kernel has no support for that kind of address; write an IPv4 address"


def _other(address: Address, error: OSError) -> str:
    path = _path(address)
    if error.errno is None and path:  # raised by Python, before any system call
        return (
            f"the path has {len(os.fsencode(path))} bytes, and the kernel takes about 107; choose "
            "a shorter one, or a relative one with --chdir"
        )
    return f"{error.strerror or error}"


def _path(address: Address) -> str:
    return address.path if isinstance(address, Unix) else ""


_REASONS: dict[int, Callable[[Address, OSError], str]] = {
    errno.EADDRINUSE: _in_use,
    errno.EACCES: _denied,
    errno.EPERM: _denied,
    errno.EADDRNOTAVAIL: _not_here,
    errno.ENOENT: _missing,
    errno.ENOTDIR: _no_directory,
    errno.EAFNOSUPPORT: _no_family,
}
