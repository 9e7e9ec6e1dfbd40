"""Commands of operators: the table, signals, and commands about single workers."""
