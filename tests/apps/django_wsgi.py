"""The Django site as a WSGI application."""

from django.core.wsgi import get_wsgi_application

import tests.apps.django_site

assert tests.apps.django_site.urlpatterns  # importing it made the settings
application = get_wsgi_application()
