"""TLS: certificates and names, handshakes, every kind of worker, files that change under load."""
