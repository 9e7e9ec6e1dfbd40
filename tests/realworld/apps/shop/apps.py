"""The application's configuration."""

from django.apps import AppConfig


class ShopConfig(AppConfig):
    """The shop."""

    name = "tests.realworld.apps.shop"
    label = "shop"
