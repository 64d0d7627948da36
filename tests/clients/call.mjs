// Calls a server with an official MCP SDK client and prints one JSON object.
//
//   TENANTRY_API_KEY=… node call.mjs --era legacy|modern --url URL [--tool NAME [--arguments JSON]]
//
// legacy: SDK v1, which knows the revisions up to 2025-11-25 (initialize).
// modern: SDK v2, pinned to 2026-07-28, so that it cannot fall back.
// With --interactive it reads one JSON object a line, {"tool": …, "arguments": …},
// and prints one for each, after a first one about the server.
// With --tasks (modern alone) it follows tasks to their end by the official package for
// them; {"cancel": true} in a line cancels the task instead.
// The key comes from the environment: arguments are visible to every process.
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import * as legacy from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as LegacyTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import * as modern from "@modelcontextprotocol/client";
import { createTaskSessionFromClient } from "@modelcontextprotocol/ext-tasks/client";

const MODERN_VERSION = "2026-07-28";

const { values } = parseArgs({
  options: {
    era: { type: "string" },
    url: { type: "string" },
    tool: { type: "string" },
    arguments: { type: "string", default: "{}" },
    interactive: { type: "boolean", default: false },
    tasks: { type: "boolean", default: false },
  },
});
if (!values.url || !["legacy", "modern"].includes(values.era)) {
  console.error("usage: TENANTRY_API_KEY=… node call.mjs --era legacy|modern --url URL [--tool NAME [--arguments JSON]]");
  process.exit(2);
}

const identity = { name: `tenantry-${values.era}-client`, version: "1.0.0" };
const headers = process.env.TENANTRY_API_KEY ? { Authorization: `Bearer ${process.env.TENANTRY_API_KEY}` } : {};
const [client, transport] =
  values.era === "modern"
    ? [
        new modern.Client(identity, { versionNegotiation: { mode: { pin: MODERN_VERSION } } }),
        new modern.StreamableHTTPClientTransport(new URL(values.url), { requestInit: { headers } }),
      ]
    : [new legacy.Client(identity), new LegacyTransport(new URL(values.url), { requestInit: { headers } })];

// The package leaves it to its host to send what the SDK's own schemas do not take.
let lastId = 0;
async function dispatch(request) {
  const { method, params } = request;
  const response = await fetch(values.url, {
    method: "POST",
    headers: {
      ...headers,
      "Content-Type": "application/json",
      Accept: "application/json, text/event-stream",
      "MCP-Protocol-Version": MODERN_VERSION,
      "Mcp-Method": method,
      "Mcp-Name": params.name ?? params.taskId,
    },
    body: JSON.stringify({ jsonrpc: "2.0", id: `task-${++lastId}`, ...request }),
  });
  const { result, error } = await response.json();
  return error ? { kind: "error", error } : { kind: "result", result };
}

let session;
async function follow(tool, args, cancel) {
  session ??= createTaskSessionFromClient(client, {
    endpointId: "tenantry",
    rawDispatch: dispatch,
    v2RequestFraming: { protocolVersion: MODERN_VERSION, clientInfo: identity, clientCapabilities: {} },
  });
  const execution = await session.callTool(tool, args);
  if (cancel) await execution.cancel();
  const { outcome } = await execution.settle();
  const { result } = outcome;
  return { kind: execution.kind, status: outcome.status, isError: result?.isError, structuredContent: result?.structuredContent };
}

async function call({ tool, arguments: args, cancel }) {
  try {
    if (values.tasks) return await follow(tool, args, cancel);
    const result = await client.callTool({ name: tool, arguments: args });
    return { isError: result.isError ?? false, structuredContent: result.structuredContent };
  } catch (error) {
    return { error: String(error.message ?? error), code: error.code };
  }
}

try {
  await client.connect(transport);
  const { tools } = await client.listTools();
  const report = {
    era: values.era,
    protocolVersion: values.era === "modern" ? MODERN_VERSION : transport.protocolVersion,
    tools: tools.map((tool) => tool.name),
  };
  if (values.tool) {
    const result = await client.callTool({ name: values.tool, arguments: JSON.parse(values.arguments) });
    report.isError = result.isError ?? false;
    report.structuredContent = result.structuredContent;
  }
  console.log(JSON.stringify(report));
  if (values.interactive) {
    for await (const line of createInterface({ input: process.stdin })) {
      console.log(JSON.stringify(await call(JSON.parse(line))));
    }
  }
} catch (error) {
  console.log(JSON.stringify({ era: values.era, error: String(error.message ?? error), code: error.code }));
  process.exitCode = 1;
} finally {
  await client.close().catch(() => {});
}
