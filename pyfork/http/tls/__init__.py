"""TLS on a client connection."""
