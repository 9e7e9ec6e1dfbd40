"""Fixtures of upgrades, here too."""

from tests.upgrade.conftest import yard

__all__ = ["yard"]
