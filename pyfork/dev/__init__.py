"""For development only: the watcher of files, and the error page."""
