"""The whole server, from the outside."""
