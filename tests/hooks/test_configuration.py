"""A configuration file in Python, in a server that runs."""

import signal

from pyfork.errors import ExitStatus
from tests.hooks.conftest import Place


def test_gunicorns_file_is_used_as_it_is(place: Place) -> None:
    (place.directory / "gunicorn.conf.py").write_text(
        "wsgi_app = 'tests.apps.wsgi:app'\nbind = ['127.0.0.1:0']\nworkers = 2\n"
        "worker_class = 'gthread'\nthreads = 2\nkeepalive = 5\npreload_app = True\n"
        "def when_ready(server):\n"
        "    server.log.info('here: %s %s', server.cfg.keepalive, server.cfg.wsgi_app)\n"
    )
    server = place.serve("--name=shop", bind=False)
    assert server.get("/").status == 200
    assert len(server.workers()) == 2
    assert "gunicorn.conf.py is used, gunicorn's configuration" in server.log
    assert "gunicorn.conf.py: worker_class: gthread became thread" in server.log
    assert "the application of generation 1 is loaded after" in server.log
    assert "here: 5.0 tests.apps.wsgi:app" in server.log
    server.signal(signal.SIGHUP)
    server.wait_log("generation 2 serves")
    assert server.log.count("became thread") == 1  # only what is new is told again


def test_a_reload_brings_other_settings_and_hooks_and_new_code(place: Place) -> None:
    module = place.directory / "shop.py"
    module.write_text(APP.format("one"))
    (place.directory / "pyfork.conf.py").write_text("import shop\nworkers = 1\n")
    server = place.serve("shop:app")
    assert server.get("/").body == b"one"
    module.write_text(APP.format("three"))
    place.write(also="import shop\nworkers = 2\n")
    server.signal(signal.SIGHUP)
    server.wait_log(") left after")
    assert server.get("/").body == b"three"
    assert len(place.of("post_worker_init")) == 2
    assert len(place.of("on_reload")) == 1


def test_a_worker_class_made_for_gunicorn_is_told_what_to_become(place: Place) -> None:
    (place.directory / "own.py").write_text(
        "class Worker:\n    CONFIG_KWARGS = {'loop': 'asyncio'}\n"
    )
    server = place.serve("tests.apps.asgi:app", "-k", "own.Worker", ready=False, clean=False)
    assert server.wait() == ExitStatus.BOOT
    assert "set here what its CONFIG_KWARGS set, and use -k asgi" in server.log


def test_wsgi_in_uvicorn_has_what_is_before_a_request(place: Place) -> None:
    place.write()
    server = place.serve("tests.apps.wsgi:app", "-k", "uvicorn")
    assert server.get("/?x=1").status == 200
    assert [each.said["uri"] for each in place.of("pre_request")] == ["/?x=1"]


def test_the_logging_of_gunicorn_is_ours(place: Place) -> None:
    (place.directory / "gunicorn.conf.py").write_text(LOGGING)
    server = place.serve(ready=False)
    own = place.directory / "own.log"
    server.until(lambda: own.exists() and "is ready" in own.read_text(), "it is there")
    assert "INFO pyfork.error" in own.read_text()


APP = """
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"{}"]
"""
LOGGING = """
logconfig_dict = {
    "version": 1,
    "formatters": {"own": {"format": "%(levelname)s %(name)s %(message)s"}},
    "handlers": {
        "own": {"class": "logging.FileHandler", "filename": "own.log", "formatter": "own"},
    },
    "loggers": {"gunicorn.error": {"handlers": ["own"], "level": "INFO", "propagate": False}},
}
"""
