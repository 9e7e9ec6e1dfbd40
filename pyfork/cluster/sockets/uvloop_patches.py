"""uvloop's servers on sockets that Python made, so that they can be shared.

uvloop accepts in C. Where connections must be seen, a `PythonServer` accepts instead.
"""

import asyncio
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Iterable
from types import ModuleType
from typing import Any

from pyfork.cluster.sockets.patches import SocketPatches
from pyfork.cluster.sockets.python_server import PythonServer

Create = Callable[..., Awaitable[Any]]


def patch(module: ModuleType, patches: SocketPatches) -> None:
    """Replace the methods of uvloop's loop that bind."""
    loop: Any = module.__dict__["Loop"]
    loop.create_server = _server(loop.create_server, patches)
    loop.create_unix_server = _unix_server(loop.create_unix_server, patches)
    loop.create_datagram_endpoint = _datagram(loop.create_datagram_endpoint)


_OF_A_CONNECTION = ("ssl", "ssl_handshake_timeout", "ssl_shutdown_timeout")


class ServerGroup(asyncio.AbstractServer):
    """Several servers that appear as one: a host name may have several addresses."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        servers: Iterable[Any],
        listen: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._servers = list(servers)
        self._listen = listen  # calls Python's listen()

    @property
    def sockets(self) -> list[Any]:
        """The listening sockets of all servers."""
        return [each for server in self._servers for each in server.sockets]

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop of the servers."""
        return self._loop

    def is_serving(self) -> bool:
        """Whether all of them accept."""
        return all(server.is_serving() for server in self._servers)

    async def start_serving(self) -> None:
        """Begin to accept."""
        self._listen()
        for server in self._servers:
            await server.start_serving()

    async def serve_forever(self) -> None:
        """Accept until cancelled."""
        await self.start_serving()
        try:
            await self._loop.create_future()
        finally:
            self.close()
            await self.wait_closed()

    def close(self) -> None:
        """Stop accepting."""
        for server in self._servers:
            server.close()

    async def wait_closed(self) -> None:
        """Wait until all servers are closed."""
        for server in self._servers:
            await server.wait_closed()


def _server(create: Create, patches: SocketPatches) -> Create:
    async def create_server(
        self: Any,
        factory: Any,
        host: Any = None,
        port: Any = None,
        *,
        family: int = socket.AF_UNSPEC,
        flags: int = socket.AI_PASSIVE,
        sock: Any = None,
        backlog: int = 100,
        reuse_address: bool | None = None,
        reuse_port: bool | None = None,
        **options: Any,
    ) -> Any:
        if sock is not None and patches.fds.shared_at(sock.fileno()):
            return await _serve(create, patches, self, factory, [sock], backlog=backlog, **options)
        if sock is not None or (host is None and port is None):
            return await create(self, factory, host, port, sock=sock, backlog=backlog, **options)
        hosts = [None] if host in ("", None) else [host] if isinstance(host, str) else list(host)
        found = await asyncio.gather(
            *(
                self.getaddrinfo(
                    each, port or 0, family=family, type=socket.SOCK_STREAM, flags=flags
                )
                for each in hosts
            )
        )
        addresses = list(dict.fromkeys((each[0], each[4]) for info in found for each in info))
        sockets = _bind_all(addresses, reuse_address is not False)
        return await _serve(create, patches, self, factory, sockets, backlog=backlog, **options)

    return create_server


async def _serve(
    create: Create,
    patches: SocketPatches,
    loop: Any,
    factory: Any,
    sockets: list[Any],
    **options: Any,
) -> Any:
    """Make one server out of those that ``create`` makes for each socket."""

    def listen() -> None:
        for sock in sockets:
            sock.listen(options.get("backlog", 100))

    at_once = options.get("start_serving", True)
    if at_once:
        listen()
    servers = [
        _python_server(patches, loop, factory, each, options)
        or await create(loop, factory, sock=each, **options)
        for each in sockets
    ]
    return servers[0] if at_once and len(servers) == 1 else ServerGroup(loop, servers, listen)


def _python_server(
    patches: SocketPatches, loop: Any, factory: Any, sock: Any, options: dict[str, Any]
) -> PythonServer | None:
    """Return a `PythonServer` for ``sock`` if its connections must be seen."""
    fd = sock.fileno()
    epoll = patches.epoll_at(fd) or (patches.accept_manager and patches.fds.shared_at(fd))
    if not epoll:
        return None
    given = {name: options[name] for name in _OF_A_CONNECTION if options.get(name) is not None}
    server = PythonServer(loop, factory, sock, given)
    if options.get("start_serving", True):
        server.start()
    return server


def _bind_all(addresses: list[Any], reuse_address: bool) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    try:
        for family, address in addresses:
            made = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(made)
            if reuse_address:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.setblocking(False)
            _bind(made, address)
    except BaseException:
        for made in sockets:
            made.close()
        raise
    return sockets


def _bind(made: socket.socket, address: Any) -> None:
    try:
        made.bind(address)
        made.getsockname()  # shares port 0: this is a server
    except OSError as error:
        text = str(error.strerror).lower()
        raise OSError(
            error.errno, f"error while attempting to bind on address {address!r}: {text}"
        ) from None


def _unix_server(create: Create, patches: SocketPatches) -> Create:
    async def create_unix_server(
        self: Any, factory: Any, path: Any = None, *, sock: Any = None, **options: Any
    ) -> Any:
        if sock is None and path is not None:
            path = os.fspath(path)
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.setblocking(False)
            try:
                if path[:1] not in (0, "\0", b"\0"):
                    _remove_stale(path)
                sock.bind(path)
            except BaseException:
                sock.close()
                raise
            return await _serve(create, patches, self, factory, [sock], **options)
        return await create(self, factory, sock=sock, **options)

    return create_unix_server


def _remove_stale(path: Any) -> None:
    try:
        if stat.S_ISSOCK(os.stat(path).st_mode):
            os.remove(path)
    except FileNotFoundError:
        pass


def _datagram(create: Create) -> Create:
    async def create_datagram_endpoint(
        self: Any, factory: Any, local_addr: Any = None, remote_addr: Any = None, **options: Any
    ) -> Any:
        served = isinstance(local_addr, tuple) and local_addr[1] and remote_addr is None
        if not served or options.get("sock") is not None:
            return await create(self, factory, local_addr, remote_addr, **options)
        found = await self.getaddrinfo(
            *local_addr[:2], family=options.pop("family", 0), type=socket.SOCK_DGRAM
        )
        family, _, _, _, address = found[0]
        made = socket.socket(family, socket.SOCK_DGRAM)
        made.setblocking(False)
        try:
            if options.pop("allow_broadcast", None):
                made.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            _bind(made, address)
            chosen = {"reuse_port", "reuse_address", "proto", "flags"}
            rest = {name: value for name, value in options.items() if name not in chosen}
            return await create(self, factory, sock=made, **rest)
        except BaseException:
            made.close()
            raise

    return create_datagram_endpoint
