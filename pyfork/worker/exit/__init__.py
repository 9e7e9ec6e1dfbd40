"""The end of a worker process."""
