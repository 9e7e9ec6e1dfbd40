"""Loggers, the access log and their files."""
