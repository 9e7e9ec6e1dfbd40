"""``python hostile_script.py PORT``: what `hostile` has for servers, as a script of its own."""

import sys

import uvicorn

if __name__ == "__main__":
    uvicorn.run("tests.bench.apps.hostile:asgi", port=int(sys.argv[1]), log_level="warning")
