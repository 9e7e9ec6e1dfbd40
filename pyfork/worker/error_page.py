"""A worker for an application that does not load, under --reload: it serves the reason as a page.

So saving broken code changes the responses and nothing else.
"""

from pyfork.dev.errors.app import ErrorApp
from pyfork.dev.errors.report import ErrorReport, broken
from pyfork.errors import BootError
from pyfork.ipc.worker_args import WorkerArgs
from pyfork.loader.load import App
from pyfork.log import setup
from pyfork.worker.asgi.worker import AsgiWorker

INTERFACE = "error page"  # shown by the arbiter as the interface


class ErrorPageWorker(AsgiWorker):
    """Serves `ErrorApp`; settings about an application do not apply."""

    async def boot(self) -> None:
        """Run no lifespan."""


def serve_error_page(args: WorkerArgs, error: BootError) -> int:
    """Serve ``error`` with any worker class. Returns the exit status."""
    setup.enable_loggers()
    args.channel.send(broken(error))
    app = ErrorApp(ErrorReport.of(str(args.config.app), error), args.config.reload_host)
    return ErrorPageWorker(args, App(app, INTERFACE)).run()
