"""The ASGI gateway."""
