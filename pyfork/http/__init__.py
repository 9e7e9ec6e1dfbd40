"""The HTTP engine: parser, connection, response head, and the WSGI and ASGI gateways."""
