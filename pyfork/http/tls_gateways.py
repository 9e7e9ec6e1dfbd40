"""The gateways of a worker that speaks TLS: they tell applications who the client is."""

from typing import TYPE_CHECKING

from pyfork.http.asgi import AsgiExchange, AsgiGateway
from pyfork.http.environ import Environ
from pyfork.http.exchange import Exchange
from pyfork.http.identities import environ
from pyfork.http.request import RequestHead
from pyfork.http.sendfile import FileWrapper
from pyfork.http.tls import TlsConnection
from pyfork.http.wsgi import WsgiGateway

if TYPE_CHECKING:
    from pyfork.http.connection import Connection


class ReadFile(FileWrapper):
    """``wsgi.file_wrapper``, where the kernel cannot send: what is sent is to be encrypted."""

    def region(self) -> None:
        return None


class TlsWsgiGateway(WsgiGateway):
    """SSL_* in the environ of every request."""

    def template(self, connection: "Connection") -> Environ:
        if connection.template is None:
            session = connection.transport.get_extra_info("ssl_object")
            own = {"wsgi.file_wrapper": ReadFile, **environ(session)}
            connection.template = super().template(connection) | own
        return connection.template


class TlsAsgiGateway(AsgiGateway):
    """The extension ``tls`` in the scope of every request."""

    def exchange(self, connection: "Connection", head: RequestHead) -> Exchange:
        return TlsAsgiExchange(connection, head, self)


class TlsAsgiExchange(AsgiExchange):
    """A request over TLS."""

    async def _run(self) -> None:
        assert isinstance(self.connection, TlsConnection)
        self.scope["extensions"]["tls"] = dict(self.connection.extension)
        await super()._run()
