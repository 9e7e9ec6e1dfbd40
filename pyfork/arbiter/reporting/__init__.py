"""State of the server, as told to logs, status and systemd."""
