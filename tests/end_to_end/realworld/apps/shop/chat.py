"""The project for ASGI servers, with a chat by Channels."""

from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path

from tests.end_to_end.realworld.apps.shop.asgi import application as django


class Chat(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
    """A room; each message goes to all who are in it, with the name of the user."""

    async def connect(self) -> None:
        self.room = self.scope["url_route"]["kwargs"]["room"]
        await self.channel_layer.group_add(self.room, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self.room, self.channel_name)

    async def receive_json(self, content: Any) -> None:
        user = self.scope["user"].get_username()
        message = {"type": "said", "user": user, "text": content["text"]}
        await self.channel_layer.group_send(self.room, message)

    async def said(self, event: dict[str, Any]) -> None:
        await self.send_json({"user": event["user"], "text": event["text"]})


rooms = URLRouter([path("chat/<str:room>/", Chat.as_asgi())])
application = ProtocolTypeRouter({"http": django, "websocket": AuthMiddlewareStack(rooms)})
