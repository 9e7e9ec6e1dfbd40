"""Handing connections of a busy worker to free ones."""
