"""Measurements: programs that print, not tests."""
