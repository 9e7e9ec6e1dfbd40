"""The application that the pages serve, in one file."""

from shop.wsgi import app as app
