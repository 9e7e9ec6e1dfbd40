"""Development: the watcher, the page of what is wrong, the console."""
