"""Django: an asynchronous stream that waits for its next event; GET /notes tells its end."""

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

from tests.apps.leaving import events, tell_notes

if not settings.configured:
    settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="for tests")


async def stream(request: HttpRequest, name: str) -> StreamingHttpResponse:
    return StreamingHttpResponse(events(name))


async def tell(request: HttpRequest) -> HttpResponse:
    return HttpResponse(tell_notes())


urlpatterns = [path("stream/<name>", stream), path("notes", tell)]

application = get_asgi_application()
