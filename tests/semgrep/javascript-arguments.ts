import { exec, execFile, spawn } from "node:child_process";
import fs from "node:fs/promises";
import path from "node:path";
import vm from "node:vm";
import Handlebars from "handlebars";
import _ from "lodash";
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
import { CallToolRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { z } from "zod";

const server = new McpServer({ name: "twins", version: "1" });
const ROOT = "/data";

// --- commands

server.tool("ping", { host: z.string() }, async ({ host }) => {
  // ruleid: javascript-command-from-argument
  exec(`ping -c1 ${host}`);
  // ok: javascript-command-from-argument
  execFile("ping", ["-c1", "--", host]);
  return { content: [] };
});

server.registerTool("trace", { inputSchema: { host: z.string() } }, async (args: Args) => {
  const line = "traceroute " + args.host;
  // ruleid: javascript-command-from-argument
  child_process.execSync(line);
  // ok: javascript-command-from-argument
  const found = /host=(.*)/.exec(line);
  return { content: [] };
});

low.setRequestHandler(CallToolRequestSchema, async (request) => {
  const { name, arguments: given } = request.params;
  // ruleid: javascript-command-from-argument
  spawn("sh", ["-c", given.command]);
  // ruleid: javascript-program-from-argument
  spawn(given.program, ["--version"]);
  // ok: javascript-program-from-argument
  spawn("git", ["log", "--", given.path]);
  return { content: [] };
});

async function lookUp(args: { host: string }) {
  // ruleid: javascript-command-from-argument
  exec("getent hosts " + args.host);
  return { content: [] };
}
server.tool("look_up", { host: z.string() }, lookUp);

function notOffered(host: string) {
  // ok: javascript-command-from-argument
  exec("ping " + host);
}

fast.addTool({
  name: "run",
  execute: async (args) => {
    // ruleid: javascript-command-from-argument
    exec(args.command);
    return "done";
  },
});

// --- code

server.tool("calculate", { expression: z.string() }, async ({ expression, name, data }) => {
  // ruleid: javascript-code-from-argument
  const value = eval(expression);
  // ruleid: javascript-code-from-argument
  const again = vm.runInNewContext(expression, {});
  // ok: javascript-code-from-argument
  const number = Number(expression);
  // ruleid: javascript-module-from-argument
  const plugin = await import(name);
  // ok: javascript-module-from-argument
  const known = await import("./plugin.js");
  // ruleid: javascript-deserialised-argument
  const object = serializer.unserialize(data);
  // ok: javascript-deserialised-argument
  const parsed = JSON.parse(data);
  return { content: [] };
});

// --- files

server.tool("read", { name: z.string() }, async ({ name }) => {
  // ruleid: javascript-path-from-argument
  return text(await fs.readFile(path.join(ROOT, name), "utf8"));
});

server.tool("read_contained", { name: z.string() }, async ({ name }) => {
  const target = await fs.realpath(path.resolve(ROOT, name));
  if (!target.startsWith(ROOT + path.sep)) throw new Error("outside");
  // ok: javascript-path-from-argument
  return text(await fs.readFile(target, "utf8"));
});

server.tool("read_checked", { name: z.string() }, async (args) => {
  const target = await validatePath(args.name);
  // ok: javascript-path-from-argument
  return text(await fs.readFile(target, "utf8"));
});

// --- addresses, statements, templates

server.tool("fetch", { url: z.string() }, async ({ url, id }) => {
  // ruleid: javascript-url-from-argument
  const page = await fetch(url);
  // ruleid: javascript-url-from-argument
  const inside = await fetch(`https://${url}/page`);
  // ok: javascript-url-from-argument
  const item = await fetch(`https://api.example.com/items/${id}`);
  return { content: [] };
});

server.tool("find", { name: z.string() }, async ({ name, names }) => {
  // ok: javascript-sql-from-argument
  await Promise.all(names.map((one) => look(one)));
  // ruleid: javascript-sql-from-argument
  const rows = await pool.query(`SELECT * FROM contacts WHERE name = '${name}'`);
  // ok: javascript-sql-from-argument
  const same = await pool.query("SELECT * FROM contacts WHERE name = $1", [name]);
  return { content: [] };
});

server.registerPrompt("greet", { argsSchema: {} }, ({ template, name }) => {
  // ruleid: javascript-template-from-argument
  const made = Handlebars.compile(template)({});
  // ok: javascript-template-from-argument
  return Handlebars.compile("Hello {{name}}")({ name });
});

server.tool("grep", { pattern: z.string() }, async ({ pattern, options }) => {
  // ruleid: javascript-expression-from-argument
  const expression = new RegExp(pattern);
  // ok: javascript-expression-from-argument
  const escaped = new RegExp(escapeRegExp(pattern));
  // ruleid: javascript-keys-from-argument
  _.merge(settings, options);
  // ok: javascript-keys-from-argument
  _.merge(settings, { depth: 2 });
  return { content: [] };
});
