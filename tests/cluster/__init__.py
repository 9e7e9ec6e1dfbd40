"""Scripts in several processes on one port: the real command, the real libraries."""
