"""A script's life in a worker."""
