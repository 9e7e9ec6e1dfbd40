"""Accepting connections, and closing idle ones to make room."""
