"""Listening sockets, the distribution of their connections, and certificates."""
