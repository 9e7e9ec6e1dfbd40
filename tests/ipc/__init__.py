"""Channel and scoreboard, on real sockets and shared memory."""
