"""Behind nginx, HAProxy and Caddy, each with the configuration in examples/; where installed."""
