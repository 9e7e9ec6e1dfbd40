"""The documentation: its commands work, its links lead somewhere, its site fetches nothing."""
