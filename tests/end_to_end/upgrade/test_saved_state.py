"""The listeners that a new arbiter receives before its loop runs."""

import socket

import pytest

from pyfork.arbiter.upgrade.saved_state import OldArbiter, TakeoverError
from pyfork.ipc.channel import pair
from pyfork.ipc.fd_name import FdKind, FdName
from pyfork.ipc.messages import ListenerFds, UpgradeRejected


def test_a_rejection_right_behind_the_listeners_is_received() -> None:
    """The running server was told to stop while this program was still importing itself."""
    ours, theirs = pair()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs.send(ListenerFds(2, [FdName(FdKind.LISTENER, "127.0.0.1:0")]), [listener.fileno()])
    theirs.send(UpgradeRejected("the server is stopping"))
    theirs.close()
    with pytest.raises(TakeoverError, match="refuses: the server is stopping"):
        OldArbiter.receive_listeners(ours, 5.0)
    ours.close()
