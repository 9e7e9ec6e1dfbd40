"""The gateways of a worker that speaks TLS. They add the client's certificate to each request."""

from typing import TYPE_CHECKING, ClassVar

from pyfork.http.asgi.gateway import AsgiGateway
from pyfork.http.asgi.running import Scope
from pyfork.http.asgi.scope import ScopeBuilder
from pyfork.http.request.head import FieldBlock, RequestHead
from pyfork.http.tls.connection import TlsConnection
from pyfork.http.wsgi.environ import Environ, EnvironBuilder
from pyfork.http.wsgi.gateway import WsgiGateway
from pyfork.http.wsgi.sendfile import FileReader, FileSender

if TYPE_CHECKING:
    from pyfork.http.connection.transport import Peer


class TlsEnvirons(EnvironBuilder):
    """Adds the SSL_* variables to each environ."""

    def _of_block(self, connection: "Peer", block: FieldBlock) -> Environ:
        environ = super()._of_block(connection, block)
        assert isinstance(connection, TlsConnection)
        environ |= connection.environ
        return environ


class TlsScopes(ScopeBuilder):
    """Adds ASGI's TLS extension to each scope."""

    def make(self, connection: "Peer", head: RequestHead) -> Scope:
        scope = super().make(connection, head)
        assert isinstance(connection, TlsConnection)
        scope["extensions"]["tls"] = dict(connection.extension)
        return scope


class TlsWsgiGateway(WsgiGateway):
    """The gateway of the sync and the thread worker."""

    environs_class: ClassVar[type[EnvironBuilder]] = TlsEnvirons
    new_sender: ClassVar[type[FileSender] | type[FileReader]] = FileReader


class TlsAsgiGateway(AsgiGateway):
    """The gateway of the asgi worker."""

    scopes_class: ClassVar[type[ScopeBuilder]] = TlsScopes
