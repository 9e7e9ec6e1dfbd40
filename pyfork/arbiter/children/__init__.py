"""Children of the arbiter that are no workers."""
