"""Listening sockets: which there are, who accepts from them, what TLS they speak."""
