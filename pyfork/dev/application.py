"""The application as it is served in development."""

import os

from pyfork.dev.django_project import import_urls, with_static_files
from pyfork.dev.errors.editor import template
from pyfork.dev.errors.requests import with_error_pages
from pyfork.dev.links import links
from pyfork.dev.live_script import with_live_script
from pyfork.ipc.worker_args import WorkerArgs
from pyfork.loader.load import App


def for_development(app: App, birth: WorkerArgs) -> App:
    """``app`` with what only a developer is shown.

    Raises:
        BootError: the URLs of a Django project cannot be imported.
    """
    import_urls(app)
    first = birth.generation == 1  # the console shows links once
    if birth.config.static:
        app = with_static_files(app, tell=first and birth.slot == 0)
    url = template(birth.config.editor, os.environ)
    app = with_error_pages(app, birth.config.reload_host, url)
    if birth.config.live:
        app = with_live_script(app)
    return App(app.callable, app.interface, links(app.callable) if first else "")
