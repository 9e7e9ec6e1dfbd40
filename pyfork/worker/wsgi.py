"""The `sync` and `thread` workers: a WSGI application in the loop's thread, or in a pool."""

from pyfork.http.wsgi import Inline, Runner, WsgiGateway
from pyfork.ipc.birth import Birth
from pyfork.worker.app import App
from pyfork.worker.serving import EngineWorker
from pyfork.worker.threads import ThreadRunner


class WsgiWorker(EngineWorker):
    """Runs a WSGI application; in more than one thread if --threads says so."""

    interface = "wsgi"

    def __init__(self, birth: Birth, app: App) -> None:
        super().__init__(birth, app)
        config = self.config
        threaded = config.threads > 1 or config.worker_class == "thread"
        runner: Runner = (
            ThreadRunner(self.loop, config.threads, self._all_busy) if threaded else Inline()
        )
        gateway = WsgiGateway(
            app.callable,
            runner,
            multithread=threaded and config.threads > 1,
            multiprocess=config.workers > 1,
        )
        self.equip(gateway)

    def _all_busy(self, busy: bool, /) -> None:
        """Leave new connections to workers with a free thread."""
        if busy:
            self.acceptor.pause("all threads are busy")
        else:
            self.acceptor.resume("all threads are busy")
