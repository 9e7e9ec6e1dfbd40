"""How long a connection may wait: its phases, their limits, and the sweep that enforces them."""
