"""Policies that choose the worker for a new connection."""
