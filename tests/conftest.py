"""What all tests have in common."""

import os

# The tests start the real command a thousand times: it is to be compiled once.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
