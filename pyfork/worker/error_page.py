"""A worker for an application that does not load: ready like any other, it serves the page that
says why. So a save that breaks the application changes the answers, and nothing else."""

from pyfork.dev.error_app import ErrorApp
from pyfork.dev.error_report import ErrorReport, broken
from pyfork.errors import BootError
from pyfork.ipc.worker_args import WorkerArgs
from pyfork.loader.load import App
from pyfork.log import setup
from pyfork.worker.asgi import AsgiWorker

INTERFACE = "error page"  # what it speaks, as the arbiter says it


class ErrorPageWorker(AsgiWorker):
    """Whatever the configuration says of an application is about another one."""

    async def boot(self) -> None:
        """There is no lifespan."""


def serve_error_page(birth: WorkerArgs, error: BootError) -> int:
    """Serve the reason, whatever class of worker was asked for; returns the exit status."""
    setup.reclaim()
    birth.channel.send(broken(error))
    app = ErrorApp(ErrorReport.of(str(birth.config.app), error), birth.config.reload_host)
    return ErrorPageWorker(birth, App(app, INTERFACE)).run()
