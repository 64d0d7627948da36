"""The echo of FastMCP, stateless, answering in JSON."""

import sys

from fastmcp import FastMCP

server = FastMCP("echo")


@server.tool
def echo(account: str, limit: int) -> dict:
    """Gives back what it gets."""
    return {"account": account, "limit": limit}


if __name__ == "__main__":
    server.run(
        transport="http",
        host="127.0.0.1",
        port=int(sys.argv[1]),
        stateless_http=True,
        json_response=True,
        show_banner=False,
        log_level="ERROR",
    )
