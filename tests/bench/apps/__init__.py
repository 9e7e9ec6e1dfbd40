"""What the servers serve while they are measured: one callable for each case, doing no more."""
