"""How workers end: what an application registered for its end is done, whoever ends the worker."""
