"""--preload beside libraries that people use: what they start is found, or made safe."""

import re
from textwrap import dedent

import pytest

from tests.end_to_end.preload.test_preload import Project, fork_server, project, workers

__all__ = ["project"]

pytestmark = pytest.mark.soak  # libraries of the extra realworld

APP = """

def app(environ, start_response):
    start_response("200 OK", [])
    return [repr(answer()).encode()]
"""

UNSAFE = {
    "grpc": (
        "import grpc\nchannel = grpc.insecure_channel('127.0.0.1:1')",
        r"an extension module starts \d+ native thread\(s\) \(.*'grpc_global_tim'",
    ),
    "sqlalchemy": (
        "import sqlalchemy\nengine = sqlalchemy.create_engine('sqlite:///shop.db')\n"
        "held = engine.connect()",
        r"1 connection\(s\) of the pool of Engine\(sqlite:///shop.db\) are in use",
    ),
}


def write(project: Project, code: str) -> None:
    (project.directory / "shop.py").write_text(dedent(code) + APP)


@pytest.mark.parametrize("library", UNSAFE)
def test_the_library_is_named(project: Project, library: str) -> None:
    pytest.importorskip(library)
    code, says = UNSAFE[library]
    write(project, code)
    with project.serve(ready=False, clean=False) as server:
        assert server.wait() == 3
        assert re.search(says, server.log)
        assert "--preload-unsafe" in server.log


def test_an_idle_pool_is_closed(project: Project) -> None:
    """Each worker opens connections of its own."""
    pytest.importorskip("sqlalchemy")
    write(
        project,
        """\
        import sqlalchemy
        engine = sqlalchemy.create_engine("sqlite:///shop.db")
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("select 1"))
        assert engine.pool.checkedin() == 1

        def answer():
            return engine.pool.checkedin()
        """,
    )
    with project.serve() as server:
        assert server.get("/").body == b"0"
        database = str(project.directory / "shop.db")
        assert database not in {file.path for file in fork_server(server).open_files()}


def test_django_closes_its_connections(project: Project) -> None:
    pytest.importorskip("django")
    write(
        project,
        """\
        import django
        from django.conf import settings
        settings.configure(
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "shop.db"}},
        )
        django.setup()
        from django.db import connection
        connection.cursor().execute("select 1")

        def answer():
            return connection.connection
        """,
    )
    with project.serve() as server:
        assert server.get("/").body == b"None"


def test_workers_draw_different_numbers(project: Project) -> None:
    """OpenBLAS, which ends its threads before a fork, is no hazard."""
    pytest.importorskip("numpy")
    write(
        project,
        """\
        import numpy
        numpy.random.seed(1)
        square = numpy.ones((300, 300))
        square @ square

        def answer():
            import os
            return os.getpid(), float(numpy.random.random()), float((square @ square)[0, 0])
        """,
    )
    with project.serve("-w", "2") as server:
        drawn = {}
        while len(drawn) < len(workers(server)):
            pid, number, product = eval(server.get("/").body)
            drawn.setdefault(pid, number)
            assert product == 300
        assert len(set(drawn.values())) == 2


@pytest.mark.parametrize("library", ["opentelemetry", "sentry_sdk"])
def test_threads_that_start_again(project: Project, library: str) -> None:
    pytest.importorskip({"opentelemetry": "opentelemetry.sdk", "sentry_sdk": "sentry_sdk"}[library])
    code = {
        "opentelemetry": """\
        import threading
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
        tracing = TracerProvider()
        tracing.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter(open("spans", "a"))))

        def answer():
            with tracing.get_tracer("shop").start_as_current_span("sale"):
                pass
            return tracing.force_flush()
        """,
        "sentry_sdk": """\
        import sentry_sdk
        from sentry_sdk.transport import Transport
        sentry_sdk.init("http://key@127.0.0.1:1/1", shutdown_timeout=0)
        sentry_sdk.capture_message("booted")

        def answer():
            import threading
            sentry_sdk.capture_message("sold")
            return any("sentry" in each.name for each in threading.enumerate())
        """,
    }[library]
    write(project, code)
    with project.serve() as server:
        assert server.get("/").body == b"True"
        assert "WARNING" not in server.log
