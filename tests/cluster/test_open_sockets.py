"""Looking at the sockets of one's own process."""

import os
import resource
import socket
import sys

import pytest

from pyfork.cluster.script.shutdown import _is_served
from pyfork.cluster.sockets.open_sockets import listening_sockets, open_sockets

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def _open() -> list[str]:
    return os.listdir("/proc/self/fd")


def test_what_listens_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        text = f"127.0.0.1:{listener.getsockname()[1]}"
        inode = os.fstat(listener.fileno()).st_ino
        assert text in listening_sockets(lambda each: False)
        assert text not in listening_sockets(lambda each: each == inode)


def test_looking_takes_no_descriptor_and_closes_none() -> None:
    ours, theirs = socket.socketpair()
    reading, writing = os.pipe()  # no socket
    try:
        before = _open()
        for _ in range(3):
            listening_sockets(lambda each: False)
            assert any(each.fileno() == ours.fileno() for each in open_sockets())
        assert _open() == before
        ours.sendall(b"still here")
        assert theirs.recv(100) == b"still here"
    finally:
        for each in (ours, theirs):
            each.close()
        for fd in (reading, writing):
            os.close(fd)


def test_who_has_no_descriptor_left_still_serves() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert not _is_served({"nowhere"})
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        assert _is_served({"nowhere"})
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
