"""A program that forks its own workers."""
