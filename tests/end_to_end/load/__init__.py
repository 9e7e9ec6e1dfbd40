"""The load client of the project, and short runs of it around every way to reload and stop."""
