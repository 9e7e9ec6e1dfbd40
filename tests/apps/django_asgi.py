"""The Django site as an ASGI application; Django leaves WebSockets to whoever wraps it."""

from django.core.asgi import get_asgi_application

import tests.apps.django_site
from tests.apps.asgi import Receive, Scope, Send, echo

assert tests.apps.django_site.urlpatterns  # importing it made the settings
site = get_asgi_application()


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Sockets here, all else to Django."""
    if scope["type"] == "websocket":
        await echo(receive, send)
    else:
        await site(scope, receive, send)
