"""The entry of INSTALLED_APPS."""

from django.apps import AppConfig  # type: ignore[import-untyped]


class PyforkConfig(AppConfig):  # type: ignore[misc]
    """Has a label of its own: the last part of the name would be ``django``."""

    name = "pyfork.django"
    label = "pyfork"
