"""Tools and a resource for models, by the MCP SDK's server over streamable HTTP."""

import asyncio
import sys

# Optional to it: with it, one traceback in the log costs as much as a whole visit.
sys.modules["rich"] = None  # type: ignore[assignment]

from mcp.server import MCPServer  # noqa: E402
from mcp.server.mcpserver import Context  # noqa: E402

server = MCPServer("tools")


@server.tool()
def add(a: int, b: int) -> int:
    """The sum of two numbers."""
    return a + b


@server.tool()
async def count(to: int, context: Context) -> str:  # type: ignore[type-arg]
    """Count, and report each step while the response is on its way."""
    for number in range(to):
        await context.report_progress(number + 1, to)
        await asyncio.sleep(0.005)
    return f"counted to {to}"


@server.tool()
def fail() -> str:
    """An error of the tool."""
    raise ValueError("no")


@server.resource("greeting://{name}")
def greeting(name: str) -> str:
    """A greeting for somebody."""
    return f"hello {name}"


app = server.streamable_http_app(stateless_http=True)
