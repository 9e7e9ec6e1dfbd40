"""Child processes of the arbiter other than workers."""
