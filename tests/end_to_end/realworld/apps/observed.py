"""An application for what watches one: a view, an error, and Prometheus' metrics.

It is Flask's on WSGI and Starlette's on ASGI. SENTRY_DSN switches sentry-sdk on.
"""

import os

import flask
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

if dsn := os.environ.get("SENTRY_DSN"):
    import sentry_sdk
    from sentry_sdk.integrations.flask import FlaskIntegration
    from sentry_sdk.integrations.starlette import StarletteIntegration

    # Without those that it would look for by itself, which takes seconds.
    sentry_sdk.init(
        dsn=dsn,
        auto_enabling_integrations=False,
        integrations=[FlaskIntegration(), StarletteIntegration()],
    )

wsgi = flask.Flask(__name__)


@wsgi.get("/")
def hello() -> str:
    """A view."""
    return "hello"


@wsgi.get("/boom")
def boom() -> str:
    """An error of the application."""
    raise RuntimeError("boom")


async def hello_async(request: Request) -> PlainTextResponse:
    """The same, asynchronous."""
    return PlainTextResponse("hello")


async def boom_async(request: Request) -> PlainTextResponse:
    """The same, asynchronous."""
    raise RuntimeError("boom")


asgi = Starlette(routes=[Route("/", hello_async), Route("/boom", boom_async)])
