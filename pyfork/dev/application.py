"""The application as it is served in development."""

import os

from pyfork.dev.django_project import import_urls, with_static_files
from pyfork.dev.errors.editor import template
from pyfork.dev.errors.requests import with_error_pages
from pyfork.dev.links import links
from pyfork.dev.live_script import with_live_script
from pyfork.ipc.worker_args import WorkerArgs
from pyfork.loader.load import App


def for_development(app: App, args: WorkerArgs) -> App:
    """``app`` with what only a developer is shown.

    Raises:
        BootError: the URLs of a Django project cannot be imported.
    """
    import_urls(app)
    first = args.generation == 1  # the console shows links once
    if args.config.static:
        app = with_static_files(app, tell=first and args.slot == 0)
    url = template(args.config.editor, os.environ)
    app = with_error_pages(app, args.config.reload_host, url)
    if args.config.live:
        app = with_live_script(app)
    return App(app.callable, app.interface, links(app.callable) if first else "")
