"""The first call in a fresh interpreter that multiprocessing starts in a script's worker."""

import os
from socket import socket  # before gevent patches it

from pyfork.cluster.descendants import ChildSetup
from pyfork.cluster.relay import RelayedClient
from pyfork.cluster.sockets import library_patches
from pyfork.cluster.sockets.patches import SocketPatches


def join(relay: int, life: int, exclusive: tuple[str, ...]) -> None:
    """Make this process a disconnect of the worker that started it.

    Args:
        relay: descriptor of the worker's `Relay`.
        life: descriptor of the pipe that closes when the worker ends.
        exclusive: ports and addresses, as text, that this process does not share.
    """
    for fd in (relay, life):
        os.set_inheritable(fd, False)
    far = RelayedClient(socket(fileno=relay))
    patches = SocketPatches(arbiter=far, exclusive=frozenset(exclusive), serving=lambda: None)
    patches.use_in_child(far)
    patches.install()
    child_setup = ChildSetup(patches, far, life)
    child_setup.install()
    child_setup.die_with_worker()
    library_patches.install(patches, lambda text: None, child_setup)
