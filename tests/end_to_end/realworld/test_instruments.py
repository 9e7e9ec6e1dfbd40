"""What instruments, measures or debugs an application, on workers that are forked."""

import inspect
import json
import signal
import sys
import threading
from pathlib import Path

import pytest

from tests.end_to_end.realworld.apps import observed
from tests.end_to_end.realworld.collector import Collector
from tests.end_to_end.realworld.debugger import Debugger
from tests.end_to_end.realworld.proof import KINDS
from tests.harness.ports import free_port
from tests.harness.server import PATIENCE, Server

pytestmark = pytest.mark.soak

APP = "tests.end_to_end.realworld.apps.observed"
KIND_APPS = {"sync": f"{APP}:wsgi", "thread": f"{APP}:wsgi", "asgi": f"{APP}:asgi"}
VIEWS = {"sync": observed.hello, "thread": observed.hello, "asgi": observed.hello_async}
REQUESTS = 40

GUNICORN_CONF = """
from prometheus_client import multiprocess

def child_exit(server, worker):
    multiprocess.mark_process_dead(worker.pid)
"""

MEASURED = f"""
import atexit, coverage

measured = coverage.Coverage(data_file=".cov", data_suffix=True)
measured.start()
atexit.register(lambda: (measured.stop(), measured.save()))
from {APP} import asgi, wsgi
"""


def last_line(kind: str) -> int:
    """The line of the view that returns."""
    lines, first = inspect.getsourcelines(VIEWS[kind])
    return first + len(lines) - 1


@pytest.mark.parametrize("kind", KIND_APPS)
def test_opentelemetry_instrument_exports_the_span_of_every_request(
    tmp_path: Path, kind: str
) -> None:
    """Of the first generation and of the second; by the end of a worker, not by a timer."""
    pytest.importorskip("opentelemetry.instrumentation.flask")
    pytest.importorskip("opentelemetry.instrumentation.starlette")
    trace_service = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    instrument = Path(sys.executable).with_name("opentelemetry-instrument")
    with Collector() as collector:
        env = {
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{collector.address}",
            "OTEL_BSP_SCHEDULE_DELAY": "3600000",
        }
        command = (str(instrument), sys.executable, "-m", "pyfork")
        with Server(
            KIND_APPS[kind], *KINDS[kind], directory=tmp_path, env=env, command=command
        ) as server:
            for _ in range(2):
                for _ in range(REQUESTS):
                    assert server.get("/").body == b"hello"
                reload(server)
    spans = 0
    for path, body in collector.posted:
        assert path == "/v1/traces"
        sent = trace_service.ExportTraceServiceRequest.FromString(body)
        found = [span for each in sent.resource_spans for s in each.scope_spans for span in s.spans]
        spans += sum(span.kind == span.SPAN_KIND_SERVER for span in found)
    assert spans == 2 * REQUESTS


@pytest.mark.parametrize("kind", KIND_APPS)
def test_coverage_run_around_the_command_sees_what_workers_run(tmp_path: Path, kind: str) -> None:
    coverage = pytest.importorskip("coverage")
    command = (sys.executable, "-m", "coverage", "run", "-p", "-m", "pyfork")
    env = {"COVERAGE_FILE": str(tmp_path / ".coverage")}
    with Server(
        KIND_APPS[kind], *KINDS[kind], directory=tmp_path, env=env, command=command
    ) as server:
        assert server.get("/").body == b"hello"
    data = coverage.Coverage(data_file=env["COVERAGE_FILE"])
    data.combine([str(tmp_path)])
    assert last_line(kind) in (data.get_data().lines(observed.__file__) or ())


@pytest.mark.parametrize("kind", KIND_APPS)
def test_coverage_on_a_worker_is_saved_at_its_end(tmp_path: Path, kind: str) -> None:
    coverage = pytest.importorskip("coverage")
    (tmp_path / "measured.py").write_text(MEASURED)
    app = KIND_APPS[kind].replace(APP, "measured")
    with Server(app, *KINDS[kind], "--chdir", str(tmp_path), directory=tmp_path) as server:
        assert server.get("/").body == b"hello"
        reload(server)
    assert len(list(tmp_path.glob(".cov.*"))) == 4  # workers of two generations
    data = coverage.Coverage(data_file=str(tmp_path / ".cov"))
    data.combine([str(tmp_path)])
    assert last_line(kind) in (data.get_data().lines(observed.__file__) or ())


@pytest.mark.parametrize("kind", KIND_APPS)
def test_sentry_hears_of_an_error_though_the_server_stops_at_once(
    tmp_path: Path, kind: str
) -> None:
    pytest.importorskip("sentry_sdk")
    with Collector() as collector:
        env = {"SENTRY_DSN": f"http://key@{collector.address}/1"}
        with Server(KIND_APPS[kind], *KINDS[kind], directory=tmp_path, env=env) as server:
            assert server.get("/").body == b"hello"
            assert server.get("/boom").status == 500
    envelopes = [body for path, body in collector.posted if path == "/api/1/envelope/"]
    events = [json.loads(line) for body in envelopes for line in body.splitlines()]
    (error,) = (event["exception"]["values"] for event in events if "exception" in event)
    assert (error[-1]["type"], error[-1]["value"]) == ("RuntimeError", "boom")


@pytest.mark.parametrize("kind", ["sync", "thread"])
def test_prometheus_counts_over_all_workers_and_a_reload(tmp_path: Path, kind: str) -> None:
    """With the gunicorn.conf.py of its documentation."""
    pytest.importorskip("prometheus_client")
    metrics = tmp_path / "metrics"
    metrics.mkdir()
    (tmp_path / "gunicorn.conf.py").write_text(GUNICORN_CONF)
    options = ("-c", str(tmp_path / "gunicorn.conf.py"), *KINDS[kind])
    env = {"PROMETHEUS_MULTIPROC_DIR": str(metrics)}
    app = "tests.end_to_end.realworld.apps.counted:app"
    with Server(app, *options, directory=tmp_path, env=env) as server:
        for generation in (1, 2):
            for _ in range(REQUESTS):
                assert server.get("/").status == 200
            told = server.get("/metrics").body.decode().splitlines()
            assert f"asked_total {generation * REQUESTS}.0" in told
            assert "workers 2.0" in told
            reload(server)


@pytest.mark.parametrize("kind", KIND_APPS)
def test_debugpy_stops_a_worker_at_a_line(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("debugpy")
    port = free_port()
    (tmp_path / "debugged.py").write_text(
        f"import debugpy\nfrom {APP} import asgi, wsgi\ndebugpy.listen(('127.0.0.1', {port}))\n"
    )
    app = KIND_APPS[kind].replace(APP, "debugged")
    options = (*KINDS[kind], "-w", "1", "--chdir", str(tmp_path))
    bodies: list[bytes] = []
    with Server(app, *options, directory=tmp_path) as server:
        with Debugger(port, PATIENCE) as debugger:
            source = {"path": observed.__file__}
            line = last_line(kind)
            debugger.ask("setBreakpoints", source=source, breakpoints=[{"line": line}])
            debugger.ask("configurationDone")
            asking = threading.Thread(target=lambda: bodies.append(server.get("/").body))
            asking.start()
            thread = debugger.event("stopped")["threadId"]
            (frame, *_) = debugger.ask("stackTrace", threadId=thread)["stackFrames"]
            assert (frame["name"], frame["line"]) == (VIEWS[kind].__name__, line)
            debugger.ask("continue", threadId=thread)
            asking.join()
            debugger.ask("disconnect")
        assert bodies == [b"hello"]
        assert server.get("/").body == b"hello"


def reload(server: Server) -> None:
    """HUP, and wait for the end of the old workers."""
    old = server.workers()
    before = server.log.count("serves")
    server.signal(signal.SIGHUP)
    server.until(lambda: server.log.count("serves") > before, "the new generation serves")
    server.until(lambda: not any(each.is_running() for each in old), "the old ones have left")
