"""The application's configuration."""

from django.apps import AppConfig


class ShopConfig(AppConfig):
    """The shop."""

    name = "tests.end_to_end.realworld.apps.shop"
    label = "shop"
