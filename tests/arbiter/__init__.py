"""The arbiter: decisions by histories, the rest with real processes."""
