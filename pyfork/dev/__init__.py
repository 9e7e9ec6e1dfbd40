"""What only development needs: the watcher of files, and the page of what is wrong."""
