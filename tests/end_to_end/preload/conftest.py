"""Fixtures of upgrades, here too."""

from tests.end_to_end.upgrade.conftest import yard

__all__ = ["yard"]
