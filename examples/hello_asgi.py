"""The smallest ASGI application. Run it with:  pyfork examples.hello_asgi:app -w 4"""

import os


async def app(scope, receive, send):
    assert scope["type"] == "http"
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"Hello from process %d\n" % os.getpid()})
