"""Reports the state of the server in logs, in status and to systemd."""
