// Two tools, a prompt and a resource on an old TypeScript SDK; argument: stdio or http.
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { z } from "zod";

function make() {
  const server = new McpServer({ name: "typescript-old", version: "1.0.0" });
  server.tool("echo", "Give a text back.", { text: z.string() }, ({ text }) => ({
    content: [{ type: "text", text }],
  }));
  server.tool("add", "Add two numbers.", { a: z.number().int(), b: z.number().int() }, (given) => ({
    content: [{ type: "text", text: String(given.a + given.b) }],
  }));
  server.prompt("greet", { name: z.string() }, ({ name }) => ({
    messages: [{ role: "user", content: { type: "text", text: `Greet ${name}.` } }],
  }));
  server.resource("hello", "memo://hello", (uri) => ({
    contents: [{ uri: uri.href, text: "hello" }],
  }));
  return server;
}

const sessions = new Map();

async function answer(request, response) {
  const known = sessions.get(request.headers["mcp-session-id"]);
  if (known) return known.handleRequest(request, response);
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id) => sessions.set(id, transport),
  });
  await make().connect(transport);
  return transport.handleRequest(request, response);
}

if (process.argv[2] === "http") {
  createServer((request, response) => {
    if (request.url === "/mcp") answer(request, response);
    else response.writeHead(404).end();
  }).listen(8080, "127.0.0.1");
} else {
  await make().connect(new StdioServerTransport());
}
