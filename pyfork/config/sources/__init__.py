"""Sources of settings: files and the environment."""
