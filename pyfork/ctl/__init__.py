"""The control socket: how operators and deploy scripts speak to a running server."""
