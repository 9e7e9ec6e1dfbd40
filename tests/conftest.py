"""What all tests have in common."""

import compileall
import os
from pathlib import Path

# The tests start the real command a thousand times: it is compiled once, here. What the tests
# themselves write is compiled each time, for they write it anew within the second by which
# Python tells an old file from a new one.
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
# A line that is printed and flushed arrives whole, however many processes print.
os.environ.pop("PYTHONUNBUFFERED", None)
for room in ("pyfork", "tests"):
    compileall.compile_dir(Path(__file__).parents[1] / room, quiet=2)
