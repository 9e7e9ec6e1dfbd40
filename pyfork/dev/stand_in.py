"""A worker for an application that does not load: ready like any other, it serves the page that
says why. So a save that breaks the application changes the answers, and nothing else."""

from pyfork.dev.error_app import Broken
from pyfork.dev.error_report import Fault, broken
from pyfork.errors import BootError
from pyfork.ipc.worker_args import Birth
from pyfork.loader.load import App
from pyfork.log import setup
from pyfork.worker.asgi import AsgiWorker

INTERFACE = "error page"  # what it speaks, as the arbiter says it


class StandIn(AsgiWorker):
    """Whatever the configuration says of an application is about another one."""

    async def boot(self) -> None:
        """There is no lifespan."""


def stand_in(birth: Birth, error: BootError) -> int:
    """Serve the reason, whatever class of worker was asked for; returns the exit status."""
    setup.reclaim()
    birth.channel.send(broken(error))
    app = Broken(Fault.of(str(birth.config.app), error), birth.config.reload_host)
    return StandIn(birth, App(app, INTERFACE)).run()
