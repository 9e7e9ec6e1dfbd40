"""The end of a listening TCP socket: nobody new gets in, and nobody who is in is reset.

A kernel resets every connection that waits in the queue of a listener when its last copy is
closed, and so each one that completes its handshake between the last accept and that. A socket
filter that drops segments with SYN lets no handshake begin and those complete that have begun. The
client whose SYN was dropped sends it again, and is refused then, or reaches the next server.

The filter belongs to what all copies of the socket share: never where another process keeps one.
Linux only; elsewhere, nothing happens.
"""

import socket
import struct
import sys
from contextlib import suppress

_SO_ATTACH_FILTER = _SO_GET_FILTER = 26  # asm-generic/socket.h

# Classic BPF (linux/filter.h), from the TCP header on: code, jump if true, jump if false, constant.
_PROGRAM = (
    (0x30, 0, 0, 13),  # load byte 13, the flags
    (0x45, 0, 1, 0x02),  # SYN among them? else skip one
    (0x06, 0, 0, 0),  # keep nothing of the segment
    (0x06, 0, 0, 0xFFFFFFFF),  # keep all
)


def refuse_new(listener: socket.socket) -> None:
    """Let no further handshake begin."""
    if sys.platform != "linux" or listener.family not in (socket.AF_INET, socket.AF_INET6):
        return
    try:
        import ctypes  # which no server needs before its end
    except ImportError:  # Python can be built without it
        return
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *one) for one in _PROGRAM))
    described = struct.pack("HP", len(_PROGRAM), ctypes.addressof(program))  # struct sock_fprog
    with suppress(OSError):  # a kernel without socket filters
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, described)


def refuses_new(listener: socket.socket) -> bool:
    """Whether `refuse_new` was called for it, in whichever process, and with success."""
    if sys.platform != "linux":
        return False
    try:
        import ctypes
    except ImportError:  # or --user may not read the library
        return False
    # Not by Python's getsockopt, which always has a buffer: with none, the kernel only counts.
    count = ctypes.c_uint32(0)
    get = ctypes.CDLL(None).getsockopt
    get(listener.fileno(), socket.SOL_SOCKET, _SO_GET_FILTER, None, ctypes.byref(count))
    return count.value == len(_PROGRAM)
