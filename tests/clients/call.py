"""Calls a server with the official Python MCP SDK client.

    TENANTRY_API_KEY=… python call.py --era legacy|modern --url URL

Reads one JSON object a line, {"tool": …, "arguments": …}, and prints one for
each: what the client made of the answer. The first line printed says which
revision is spoken and which tools there are.
The key comes from the environment: arguments are visible to every process.
"""

import argparse
import asyncio
import json
import os
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

MODERN_VERSION = "2026-07-28"


def say(value):
    print(json.dumps(value), flush=True)


async def call(client, asked):
    try:
        result = await client.call_tool(asked["tool"], asked.get("arguments", {}))
    except Exception as error:  # What the caller of the SDK would see.
        return {"error": str(error), "code": getattr(getattr(error, "error", None), "code", None)}
    return {"isError": bool(result.is_error), "structuredContent": result.structured_content}


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--era", choices=["legacy", "modern"], required=True)
    parser.add_argument("--url", required=True)
    asked = parser.parse_args()
    headers = {"Authorization": f"Bearer {os.environ['TENANTRY_API_KEY']}"}
    mode = MODERN_VERSION if asked.era == "modern" else "legacy"
    async with httpx2.AsyncClient(headers=headers, trust_env=False) as http:
        async with Client(streamable_http_client(asked.url, http_client=http), mode=mode) as client:
            listed = await client.list_tools()
            say({"protocolVersion": client.protocol_version, "tools": [tool.name for tool in listed.tools]})
            while line := await asyncio.to_thread(sys.stdin.readline):
                say(await call(client, json.loads(line)))


asyncio.run(main())
