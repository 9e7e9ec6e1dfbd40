"""The `sync` and `thread` workers: a WSGI application in the loop's thread, or in a pool."""

from typing import TYPE_CHECKING

from pyfork.http.runner import Inline, Runner
from pyfork.http.wsgi import WsgiGateway
from pyfork.ipc.birth import Birth
from pyfork.worker.app import App
from pyfork.worker.serving import EngineWorker

if TYPE_CHECKING:
    from pyfork.worker.threads import ThreadRunner


class WsgiWorker(EngineWorker):
    """Runs a WSGI application; in more than one thread if --threads says so."""

    interface = "wsgi"

    def __init__(self, birth: Birth, app: App) -> None:
        super().__init__(birth, app)
        config = self.config
        threaded = config.threads > 1 or config.worker_class == "thread"
        self._pool = self._new_pool() if threaded else None
        runner: Runner = self._pool or Inline()
        self._gateway = gateway = self._gateway_class()(
            app.callable,
            runner,
            multithread=threaded and config.threads > 1,
            multiprocess=config.workers > 1,
            root_path=config.root_path,
            closed=self.changed.set,
        )
        self.equip(gateway)

    def _new_pool(self) -> "ThreadRunner":
        from pyfork.worker.threads import ThreadRunner  # most workers have one thread

        return ThreadRunner(self.loop, self.config.threads, self._pool_changed)

    def _gateway_class(self) -> type[WsgiGateway]:
        if self.birth.tls is None:
            return WsgiGateway
        from pyfork.http.tls_gateways import TlsWsgiGateway

        return TlsWsgiGateway

    def empty(self) -> bool:
        """Whether no connection is left, and no iterable whose response has left is closing."""
        return super().empty() and not self._gateway.closing

    def _pool_changed(self) -> None:
        """Leave new connections to workers with a free thread."""
        assert self._pool is not None
        if self._pool.full:
            self.acceptor.pause("all threads are busy")
        else:
            self.acceptor.resume("all threads are busy")
