"""The application's configuration."""

from django.apps import AppConfig


class PagesConfig(AppConfig):
    """The site."""

    name = "tests.end_to_end.realworld.apps.pages"
    label = "pages"
    default_auto_field = "django.db.models.BigAutoField"
