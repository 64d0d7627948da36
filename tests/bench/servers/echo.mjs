// The echo of the official TypeScript SDK, as its documentation has a
// stateless server: a transport for each request.
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [port, clients] = process.argv.slice(2);
const require = createRequire(`${clients}/package.json`);
const load = (name) => import(pathToFileURL(require.resolve(name)));
const { McpServer } = await load("@modelcontextprotocol/sdk/server/mcp.js");
const { StreamableHTTPServerTransport } = await load("@modelcontextprotocol/sdk/server/streamableHttp.js");
const { z } = await load("zod");

function echo() {
  const server = new McpServer({ name: "echo", version: "1.0.0" });
  const input = { account: z.string(), limit: z.number() };
  server.registerTool("echo", { inputSchema: input }, async (sent) => ({
    content: [{ type: "text", text: JSON.stringify(sent) }],
    structuredContent: sent,
  }));
  return server;
}

async function answer(request, response) {
  let text = "";
  for await (const chunk of request) text += chunk;
  const server = echo();
  const transport = new StreamableHTTPServerTransport({ sessionIdGenerator: undefined, enableJsonResponse: true });
  response.on("close", () => { transport.close(); server.close(); });
  await server.connect(transport);
  await transport.handleRequest(request, response, JSON.parse(text));
}

createServer((request, response) => {
  answer(request, response).catch((error) => response.writeHead(500).end(String(error)));
}).listen(Number(port), "127.0.0.1");
