"""``python -m pyfork.loader.trial APP``: loads an application, and tells how that went, as JSON."""

import json
import sys
import time

from pyfork.loader.debug_mode import in_debug_mode
from pyfork.loader.load import load


def main(spec: str) -> None:
    """Print the seconds that it took, the interface, and whether it is in debug mode."""
    began = time.monotonic()
    app = load(spec)
    facts = {
        "boot": time.monotonic() - began,
        "interface": app.interface,
        "debug": in_debug_mode(app.callable),
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main(sys.argv[1])
