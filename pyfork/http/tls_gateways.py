"""The gateways of a worker that speaks TLS: they tell applications who the client is."""

from typing import TYPE_CHECKING, Any

from pyfork.http.asgi import AsgiApp, AsgiGateway
from pyfork.http.environ import Environ, Environs
from pyfork.http.request import FieldBlock, RequestHead
from pyfork.http.scope import Scope, Scopes
from pyfork.http.sendfile import FileReader
from pyfork.http.tls_connection import TlsConnection
from pyfork.http.wsgi import WsgiApp, WsgiGateway

if TYPE_CHECKING:
    from pyfork.http.link import Link
    from pyfork.http.runner import Inline


class TlsEnvirons(Environs):
    """SSL_* in the environ of every request."""

    def _of_block(self, connection: "Link", block: FieldBlock) -> Environ:
        environ = super()._of_block(connection, block)
        assert isinstance(connection, TlsConnection)
        environ |= connection.environ
        return environ


class TlsScopes(Scopes):
    """The extension ``tls`` in the scope of every request."""

    def make(self, connection: "Link", head: RequestHead) -> Scope:
        scope = super().make(connection, head)
        assert isinstance(connection, TlsConnection)
        scope["extensions"]["tls"] = dict(connection.extension)
        return scope


class TlsWsgiGateway(WsgiGateway):
    """Of the sync and the thread worker."""

    def __init__(
        self,
        app: WsgiApp,
        inline: "Inline",
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
