"""A server of the MCP SDK whose sessions live in its process."""

import os

from mcp.server import MCPServer

server = MCPServer("sessions")


@server.tool()
def where() -> int:
    """The process that has the session."""
    return os.getpid()


app = server.streamable_http_app()
