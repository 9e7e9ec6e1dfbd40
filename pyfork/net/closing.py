"""Closes a listening TCP socket without a reset for any client.

When the last copy of a listener is closed, the kernel resets every connection in its queue. A
handshake that completes between the last accept and the close ends there, too. A socket filter that
drops segments with SYN lets no handshake begin, while those that have begun complete. The client
whose SYN was dropped sends it again: it is refused then, or reaches the next server.

All copies of the socket share the filter: it is never set while another process needs the socket.
Linux only; elsewhere these functions do nothing.
"""

import socket
import struct
import sys
from contextlib import suppress

_SO_ATTACH_FILTER = _SO_GET_FILTER = 26  # asm-generic/socket.h

# Classic BPF (linux/filter.h) on the TCP header: code, jump if true, jump if false, constant.
_PROGRAM = (
    (0x30, 0, 0, 13),  # load byte 13, the flags
    (0x45, 0, 1, 0x02),  # is SYN set? else skip one
    (0x06, 0, 0, 0),  # keep nothing of the segment
    (0x06, 0, 0, 0xFFFFFFFF),  # keep all
)


def refuse_new(listener: socket.socket) -> None:
    """Drop every SYN that arrives from now on."""
    if sys.platform != "linux" or listener.family not in (socket.AF_INET, socket.AF_INET6):
        return
    try:
        import ctypes  # needed only at the end
    except ImportError:  # Python can be built without it
        return
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in _PROGRAM))
    described = struct.pack("HP", len(_PROGRAM), ctypes.addressof(program))  # struct sock_fprog
    with suppress(OSError):  # a kernel without socket filters
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, described)


def refuses_new(listener: socket.socket) -> bool:
    """Whether `refuse_new` has succeeded for this socket, in any process."""
    if sys.platform != "linux":
        return False
    try:
        import ctypes
    except ImportError:  # or --user may not read the library
        return False
    # Without a buffer the kernel returns the length; Python's getsockopt always passes a buffer.
    count = ctypes.c_uint32(0)
    get = ctypes.CDLL(None).getsockopt
    get(listener.fileno(), socket.SOL_SOCKET, _SO_GET_FILTER, None, ctypes.byref(count))
    return count.value == len(_PROGRAM)
