"""Upgrades, in place and side by side, and takeovers: what goes well, and whatever can go wrong."""
