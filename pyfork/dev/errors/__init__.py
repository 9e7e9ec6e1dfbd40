"""The error page of --reload: for code that does not load, and for a request that fails."""
