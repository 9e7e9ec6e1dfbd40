"""Set-up that every process forked by the arbiter shares: signals, privileges, arbiter loss."""
