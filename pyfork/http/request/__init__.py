"""Request heads and bodies: parsing and framing (RFC 9112)."""
