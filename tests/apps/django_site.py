"""The routes in Django: settings, URLs and views of one site, served by django_wsgi and _asgi."""

import hashlib
import os
import time

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

from tests.apps.wsgi import chunks

if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="for tests", USE_TZ=True
    )


def hello(request: HttpRequest) -> HttpResponse:
    return HttpResponse("hello from django", headers={"X-Pid": str(os.getpid())})


def form(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.POST["name"])


def upload(request: HttpRequest) -> HttpResponse:
    digest, length = hashlib.sha256(), 0
    while chunk := request.read(65536):
        digest.update(chunk)
        length += len(chunk)
    return JsonResponse({"sha256": digest.hexdigest(), "length": length})


def stream(request: HttpRequest) -> StreamingHttpResponse:
    count = int(request.GET["n"])
    if hasattr(request, "scope"):  # under ASGI Django wants an asynchronous iterator
        return StreamingHttpResponse(_asynchronous(count))
    return StreamingHttpResponse(chunks(count))


async def _asynchronous(count: int):  # type: ignore[no-untyped-def]
    for chunk in chunks(count):
        yield chunk


def slow(request: HttpRequest) -> HttpResponse:
    time.sleep(float(request.GET["s"]))
    return HttpResponse("slept")


def boom(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("boom")


urlpatterns = [
    path("", hello),
    path("form", form),
    path("upload", upload),
    path("stream", stream),
    path("slow", slow),
    path("boom", boom),
]
