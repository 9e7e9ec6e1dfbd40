"""Import of the application."""
