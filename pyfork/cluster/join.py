"""The first call in a fresh interpreter that multiprocessing starts in a script's worker."""

import os
from socket import socket  # before gevent patches it

from pyfork.cluster.descendants import Family
from pyfork.cluster.door import FarLink
from pyfork.cluster.sockets import library_patches
from pyfork.cluster.sockets.patches import SocketPatches


def join(door: int, life: int, exclusive: tuple[str, ...]) -> None:
    """Make this process a part of the worker that started it.

    Args:
        door: descriptor of the worker's `Door`.
        life: descriptor of the pipe that closes when the worker ends.
        exclusive: ports and addresses, as text, that this process does not share.
    """
    for fd in (door, life):
        os.set_inheritable(fd, False)
    far = FarLink(socket(fileno=door))
    hooks = SocketPatches(link=far, exclusive=frozenset(exclusive), serving=lambda: None)
    hooks.lend(far)
    hooks.install()
    family = Family(hooks, far, life)
    family.adopt()
    family.wait()
    library_patches.install(hooks, lambda text: None, family)
