"""The gateways of a worker that speaks TLS: they tell applications who the client is."""

from typing import TYPE_CHECKING, Any

from pyfork.http.asgi.gateway import AsgiApp, AsgiGateway
from pyfork.http.asgi.scope import Scope, ScopeBuilder
from pyfork.http.request.head import FieldBlock, RequestHead
from pyfork.http.tls.connection import TlsConnection
from pyfork.http.wsgi.environ import Environ, EnvironBuilder
from pyfork.http.wsgi.gateway import WsgiApp, WsgiGateway
from pyfork.http.wsgi.sendfile import FileReader

if TYPE_CHECKING:
    from pyfork.http.connection.transport import ClientTransport
    from pyfork.http.wsgi.runners import InlineRunner


class TlsEnvirons(EnvironBuilder):
    """SSL_* in the environ of every request."""

    def _of_block(self, connection: "ClientTransport", block: FieldBlock) -> Environ:
        environ = super()._of_block(connection, block)
        assert isinstance(connection, TlsConnection)
        environ |= connection.environ
        return environ


class TlsScopes(ScopeBuilder):
    """The extension ``tls`` in the scope of every request."""

    def make(self, connection: "ClientTransport", head: RequestHead) -> Scope:
        scope = super().make(connection, head)
        assert isinstance(connection, TlsConnection)
        scope["extensions"]["tls"] = dict(connection.extension)
        return scope


class TlsWsgiGateway(WsgiGateway):
    """Of the sync and the thread worker."""

    def __init__(
        self,
        app: WsgiApp,
        inline: "InlineRunner",
        *,
        multithread: bool,
        multiprocess: bool,
        root_path: str = "",
        **options: Any,
    ) -> None:
        super().__init__(
            app,
            inline,
            multithread=multithread,
            multiprocess=multiprocess,
            root_path=root_path,
            **options,
        )
        self.environs = TlsEnvirons(
            multithread=multithread, multiprocess=multiprocess, root_path=root_path
        )
        self.new_sender = FileReader


class TlsAsgiGateway(AsgiGateway):
    """Of the asgi worker."""

    def __init__(
        self, app: AsgiApp, *, root_path: str, state: dict[str, Any], **options: Any
    ) -> None:
        super().__init__(app, root_path=root_path, state=state, **options)
        self.scopes = TlsScopes(root_path=root_path, state=state)
