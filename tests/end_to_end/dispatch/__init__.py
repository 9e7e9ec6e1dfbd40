"""Who gets a new connection: every policy, with real processes."""
