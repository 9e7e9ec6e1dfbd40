"""The `asgi` worker."""
