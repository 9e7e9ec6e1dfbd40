"""A Django project: ORM on SQLite, views of both kinds, streams, files, and its signals."""

import io
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
from django.conf import settings

DIRECTORY = Path(os.environ.get("PROJECT", "."))
STATIC = bytes(range(256)) * 1000

settings.configure(
    SECRET_KEY="not a secret",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": DIRECTORY / "db.sqlite3",
            "CONN_MAX_AGE": 0,
            "OPTIONS": {"timeout": 20},
        }
    },
    MIDDLEWARE=["whitenoise.middleware.WhiteNoiseMiddleware"],
    STATIC_URL="/static/",
    STATIC_ROOT=str(DIRECTORY / "static"),
    WHITENOISE_AUTOREFRESH=False,
    USE_TZ=True,
)
django.setup()

from django.core.signals import request_finished, request_started  # noqa: E402
from django.db import connection, models  # noqa: E402
from django.http import (  # noqa: E402
    FileResponse,
    HttpRequest,
    HttpResponse,
    StreamingHttpResponse,
)
from django.urls import path  # noqa: E402

seen: list[str] = []  # signals, in order, with the thread


class Row(models.Model):
    text = models.TextField()

    class Meta:
        app_label = "project"


def prepare() -> None:
    """The tables, and what is in them; the static files."""
    (DIRECTORY / "static").mkdir()
    (DIRECTORY / "static" / "file.bin").write_bytes(STATIC)
    with connection.schema_editor() as editor:
        editor.create_model(Row)
    Row.objects.bulk_create(Row(text=f"row {number}") for number in range(60))
    connection.close()


def note(name: str) -> Any:
    def receiver(**kwargs: object) -> None:
        seen.append(f"{name} {threading.get_ident()}")

    return receiver


RECEIVERS = [note("started"), note("finished")]  # Django keeps weak references
request_started.connect(RECEIVERS[0])
request_finished.connect(RECEIVERS[1])


def count(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(Row.objects.count()))


async def count_async(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(await Row.objects.acount()))


def export(request: HttpRequest) -> StreamingHttpResponse:
    """Rows by a server-side cursor, slowly."""

    def rows() -> Iterator[bytes]:
        for row in Row.objects.order_by("id").iterator(chunk_size=5):
            time.sleep(0.002)
            yield f"{row.text}\n".encode()

    return StreamingHttpResponse(rows(), content_type="text/csv")


def generated(request: HttpRequest) -> FileResponse:
    return FileResponse(io.BytesIO(STATIC), as_attachment=True, filename="report.pdf")


def on_disk(request: HttpRequest) -> FileResponse:
    return FileResponse(open(DIRECTORY / "static" / "file.bin", "rb"))


def opened(request: HttpRequest) -> HttpResponse:
    """How many descriptors of the database this process has, and the signals so far."""
    found = 0
    for each in Path("/proc/self/fd").iterdir():
        try:
            found += "db.sqlite3" in os.readlink(each)
        except OSError:
            continue
    return HttpResponse("\n".join([str(found), *seen]))


urlpatterns = [
    path("count", count),
    path("count-async", count_async),
    path("export", export),
    path("generated", generated),
    path("on-disk", on_disk),
    path("opened", opened),
]

if __name__ == "__main__":
    prepare()
else:
    from django.core.wsgi import get_wsgi_application

    application = get_wsgi_application()
