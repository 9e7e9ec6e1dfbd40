"""The WSGI gateway."""
