"""Mutated streams against the parser and the connection, in process."""
