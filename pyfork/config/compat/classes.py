"""gunicorn's worker classes (``-k``), and pyfork's replacements."""

from pyfork.config.sources.raw_value import RawValue
from pyfork.errors import ConfigError
from pyfork.record import record


@record
class Replacement:
    """pyfork's replacement for a worker class."""

    to: str  # pyfork's worker class; empty: none
    says: str
    settings: tuple[tuple[str, str], ...] = ()  # settings that belong to it, unless they are given


_SYNC = Replacement("sync", "became sync")
_THREAD = Replacement("thread", "became thread, with --threads threads")
_ASGI = Replacement("asgi", "became asgi, pyfork's own; -k uvicorn runs stock uvicorn")
_H11 = Replacement(
    "asgi",
    "became asgi with --loop asyncio; -k uvicorn --http h11 runs stock uvicorn with h11",
    (("loop", "asyncio"),),
)
_GREEN = Replacement(
    "",
    "there are no greenlets here, and a blocking application needs none: use -k thread, with as "
    "many --threads as requests wait at a time (32, say), and no monkey patching",
)
_TORNADO = Replacement(
    "", "start the program itself, with as many processes as you like: pyfork run server.py -w 4"
)

REPLACEMENTS = {
    "gthread": _THREAD,
    "gunicorn.workers.sync.SyncWorker": _SYNC,
    "gunicorn.workers.gthread.ThreadWorker": _THREAD,
    "gunicorn.workers.gasgi.ASGIWorker": _ASGI,
    "uvicorn.workers.UvicornWorker": _ASGI,
    "uvicorn.workers.UvicornH11Worker": _H11,
    "uvicorn_worker.UvicornWorker": _ASGI,
    "uvicorn_worker.UvicornH11Worker": _H11,
    "uvicorn_worker._workers.UvicornWorker": _ASGI,
    "uvicorn_worker._workers.UvicornH11Worker": _H11,
    "gevent": _GREEN,
    "gevent_wsgi": _GREEN,
    "gevent_pywsgi": _GREEN,
    "gunicorn.workers.ggevent.GeventWorker": _GREEN,
    "gunicorn.workers.ggevent.GeventPyWSGIWorker": _GREEN,
    "eventlet": _GREEN,
    "gunicorn.workers.geventlet.EventletWorker": _GREEN,
    "tornado": _TORNADO,
    "gunicorn.workers.gtornado.TornadoWorker": _TORNADO,
}


def replace_class(given: dict[str, RawValue]) -> tuple[str, ...]:
    """Replace another server's worker class in ``given``. Returns remarks.

    Raises:
        ConfigError: there is no replacement.
    """
    each = given["worker_class"]
    name = str(each.raw).removeprefix("egg:gunicorn#")
    if name not in REPLACEMENTS:
        return ()
    found = REPLACEMENTS[name]
    if not found.to:
        raise ConfigError(f"{each.origin}: {name}: {found.says}")
    given["worker_class"] = RawValue(found.to, each.origin)
    for setting, value in found.settings:
        given.setdefault(setting, RawValue(value, each.origin))
    return (f"{each.origin}: {name} {found.says}",)
