"""Start a server that has no command: python -m tests.bench.launch PACKAGE MODULE:NAME PORT."""

import signal
import sys
from importlib import import_module


def main() -> None:
    package, spec, port = sys.argv[1:]
    module, _, name = spec.partition(":")
    app = getattr(import_module(module), name)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # theirs waits for connections to end
    import_module(package).run(app, "127.0.0.1", int(port))


if __name__ == "__main__":
    main()
