// Two tools, a prompt and a resource on the current TypeScript SDK; argument: stdio or http.
import { createServer } from "node:http";
import {
  localhostHostValidation,
  localhostOriginValidation,
  toNodeHandler,
} from "@modelcontextprotocol/node";
import { createMcpHandler, McpServer } from "@modelcontextprotocol/server";
import { serveStdio } from "@modelcontextprotocol/server/stdio";
import * as z from "zod";

function make() {
  const server = new McpServer({ name: "typescript-current", version: "1.0.0" });
  server.registerTool(
    "echo",
    { description: "Give a text back.", inputSchema: z.object({ text: z.string() }) },
    ({ text }) => ({ content: [{ type: "text", text }] }),
  );
  server.registerTool(
    "add",
    {
      description: "Add two numbers.",
      inputSchema: z.object({ a: z.number().int(), b: z.number().int() }),
    },
    ({ a, b }) => ({ content: [{ type: "text", text: String(a + b) }] }),
  );
  server.registerPrompt(
    "greet",
    { description: "Ask for a greeting.", argsSchema: z.object({ name: z.string() }) },
    ({ name }) => ({
      messages: [{ role: "user", content: { type: "text", text: `Greet ${name}.` } }],
    }),
  );
  server.registerResource("hello", "memo://hello", { description: "A text." }, (uri) => ({
    contents: [{ uri: uri.href, text: "hello" }],
  }));
  return server;
}

if (process.argv[2] === "http") {
  const answer = toNodeHandler(createMcpHandler(make));
  const [host, origin] = [localhostHostValidation(), localhostOriginValidation()];
  createServer((request, response) => {
    if (request.url !== "/mcp") response.writeHead(404).end();
    else if (host(request, response) && origin(request, response)) answer(request, response);
  }).listen(8080, "127.0.0.1");
} else {
  serveStdio(make);
}
