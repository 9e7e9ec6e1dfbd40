"""Connections that a busy worker gives to one that is free."""
