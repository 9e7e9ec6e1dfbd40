"""The declarations of all settings, a file for each group."""
