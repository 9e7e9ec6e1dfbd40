"""Facts from the kernel and the environment."""
