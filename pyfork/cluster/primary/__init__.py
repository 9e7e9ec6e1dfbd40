"""The primary: a program that forks its own workers."""
