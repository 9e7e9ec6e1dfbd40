"""A plain server: it knows nothing of pyfork.

python server.py                      one process
pyfork run server.py -w 3             three, on the same port
pyfork run server.py -w 3 -- 8004     with an argument
python cluster.py                     three, by a program that forks them itself
"""

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Says which process it is in."""

    def do_GET(self) -> None:
        body = f"Hello from process {os.getpid()}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    """Serve."""
    host, _, port = (sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:8003").rpartition(":")
    with ThreadingHTTPServer((host or "127.0.0.1", int(port)), Handler) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
