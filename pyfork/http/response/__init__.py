"""Response heads and framing (RFC 9112)."""
