"""The application as it is served in development."""

from pyfork.dev.links import links
from pyfork.ipc.worker_args import WorkerArgs
from pyfork.loader.load import App


def for_development(app: App, birth: WorkerArgs) -> App:
    """``app`` with what only a developer is shown."""
    first = birth.generation == 1  # the console shows links once
    return App(app.callable, app.interface, links(app.callable) if first else "")
