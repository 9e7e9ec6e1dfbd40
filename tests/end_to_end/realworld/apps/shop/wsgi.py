"""The project for WSGI servers."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.end_to_end.realworld.apps.shop.settings")
application = get_wsgi_application()
