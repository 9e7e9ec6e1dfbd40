"""The project for ASGI servers."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.end_to_end.realworld.apps.shop.settings")
application = get_asgi_application()
