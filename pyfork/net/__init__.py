"""Addresses, listeners and who owns a port."""
