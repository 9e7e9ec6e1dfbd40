"""pyfork: one port, N processes, no request lost."""

__version__ = "0.1.0"
