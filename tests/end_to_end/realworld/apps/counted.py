"""Metrics in Prometheus' multiprocess mode, as its documentation has it for gunicorn."""

from flask import Flask, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    generate_latest,
    multiprocess,
)

app = Flask(__name__)
asked = Counter("asked", "Requests")
workers = Gauge("workers", "Workers that live", multiprocess_mode="livesum")
workers.set(1)


@app.get("/")
def hello() -> str:
    """What is counted."""
    asked.inc()
    return "hello"


@app.get("/metrics")
def metrics() -> Response:
    """The sum over all processes."""
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    return Response(generate_latest(registry), mimetype=CONTENT_TYPE_LATEST)
