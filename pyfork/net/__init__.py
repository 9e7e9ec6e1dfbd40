"""Listening sockets and accepted clients."""
