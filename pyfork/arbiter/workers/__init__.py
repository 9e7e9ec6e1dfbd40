"""Worker processes: fork, messages, hooks, end."""
