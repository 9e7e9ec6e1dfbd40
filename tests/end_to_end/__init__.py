"""What clients and operators see: the real command, with real processes, signals and sockets."""
