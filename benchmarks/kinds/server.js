// A small stdio MCP server for measuring: one tool that reads a file and answers.
const fs = require("fs");
const readline = require("readline");

const opened = {
  protocolVersion: "2025-11-25",
  capabilities: { tools: {} },
  serverInfo: { name: "node", version: "1" },
};
const schema = { type: "object", properties: { text: { type: "string" } }, required: ["text"] };
const listed = { tools: [{ name: "read", description: "Reads its notes.", inputSchema: schema }] };

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const message = JSON.parse(line);
  if (message.id === undefined) return;
  let result = { content: [{ type: "text", text: "done" }] };
  if (message.method === "initialize") result = opened;
  else if (message.method === "tools/list") result = listed;
  else fs.readFileSync("/etc/hostname");
  process.stdout.write(JSON.stringify({ jsonrpc: "2.0", id: message.id, result }) + "\n");
});
