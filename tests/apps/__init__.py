"""Small applications with the same routes, one a framework, and what every one of them must do.

GET  /            "hello from NAME", and the process id in X-Pid
POST /form        the form field "name"
POST /upload      JSON with the sha256 and the length of the body, which is read as it comes
GET  /stream?n=   n chunks, "chunk 0\\n" and so on
GET  /slow?s=     "slept", after s seconds
GET  /boom        raises RuntimeError
     /ws          echoes text and bytes (ASGI)
"""
