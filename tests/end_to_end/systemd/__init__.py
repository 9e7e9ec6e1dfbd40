"""Under a service manager, as PID 1, in a container: what each expects, and the example files."""
