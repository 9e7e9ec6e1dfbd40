"""The smallest WSGI application. Run it with:  pyfork examples.hello:app -w 4"""

import os


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello from process %d\n" % os.getpid()]
