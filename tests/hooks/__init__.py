"""The functions of a Python configuration file, in a real server."""
