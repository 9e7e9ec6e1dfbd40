"""Worker processes: life cycle, accepting, application servers."""
