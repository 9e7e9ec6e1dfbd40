"""Client address and scheme in the scopes of another server, uvicorn; see `proxy_headers`.

uvicorn's own reader of X-Forwarded-For passes invalid addresses to the application.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from pyfork.http.asgi.running import Scope
from pyfork.http.proxy_headers import TrustedProxies

_READ = frozenset((b"x-forwarded-for", b"x-forwarded-proto", b"forwarded"))
_OF_WEBSOCKET = {"http": "ws", "https": "wss"}


class ForwardedScopes:
    """An ASGI application that passes client and scheme, as proxies report them, to ``app``."""

    def __init__(self, app: Callable[..., Awaitable[None]], proxies: TrustedProxies) -> None:
        self._app = app
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            self._correct(scope)
            scope = dict(scope)  # uvicorn logs its own scope, which the application must not change
        await self._app(scope, receive, send)

    def _correct(self, scope: Scope) -> None:
        peer = scope.get("client")
        if not self._proxies.trust(peer[0] if peer else ""):
            return
        said: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name in _READ:
                said[name] = said[name] + b"," + value if name in said else value
        if not said:
            return
        client, scheme = self._proxies.origin(said)
        if client is not None:
            scope["client"] = client
        if scheme is not None:
            of_websocket = scope["type"] == "websocket"
            scope["scheme"] = _OF_WEBSOCKET.get(scheme, scheme) if of_websocket else scheme
