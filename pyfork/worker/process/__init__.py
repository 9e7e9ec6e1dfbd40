"""Set-up of a worker process: signals, privileges, loss of the arbiter."""
