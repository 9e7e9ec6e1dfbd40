"""Sockets of a script's worker: patches of Python's socket class, and accepting."""
