"""Patches of Python's sockets in a script's worker."""
