"""The command line: options, help, completion."""
