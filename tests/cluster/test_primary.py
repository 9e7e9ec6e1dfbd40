"""The primary's side, in this process: with whose rights it binds."""

import errno
import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyfork.dispatch.handles import Handles
from pyfork.ipc.messages import QueryServer, ServerHandle

NOBODY = 65534

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may be somebody else")


@pytest.fixture
def handles() -> Iterator[Handles]:
    made = Handles()
    yield made
    made.close()


@pytest.fixture
def directory() -> Iterator[Path]:
    """Where others may get to; not so below pytest's."""
    with tempfile.TemporaryDirectory() as made:
        os.chmod(made, 0o755)
        yield Path(made)


@contextmanager
def nobody() -> Iterator[None]:
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def query(handles: Handles, path: Path, made: socket.socket) -> ServerHandle:
    """What a worker that has made this socket is told."""
    question = QueryServer(1, f"script:stream:unix:{path}", [str(path)], 0o027)
    with made:
        answer, _ = handles.query(question, made.fileno(), worker=1, generation=1)
    assert (os.geteuid(), os.getegid()) == (0, 0)
    return answer


def test_a_socket_file_is_the_worker_s(handles: Handles, directory: Path) -> None:
    os.chmod(directory, 0o777)
    with nobody():
        made = socket.socket(socket.AF_UNIX)
    assert query(handles, directory / "s", made) == ServerHandle(1)
    found = os.lstat(directory / "s")
    assert (found.st_uid, found.st_gid) == (NOBODY, NOBODY)
    assert stat.S_IMODE(found.st_mode) == 0o750


def test_a_worker_has_no_file_made_where_it_may_not(handles: Handles, directory: Path) -> None:
    with nobody():
        made = socket.socket(socket.AF_UNIX)
    assert query(handles, directory / "s", made).errno == errno.EACCES
    made, other = socket.socketpair()
    with other:  # as the channel is, which the arbiter has made
        assert query(handles, directory / "s", made).errno == errno.EISCONN
    assert not list(directory.iterdir())
