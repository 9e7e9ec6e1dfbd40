"""The control socket: its protocol, its commands, and what reloads tell."""
