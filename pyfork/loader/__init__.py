"""Import and detection of the application."""
