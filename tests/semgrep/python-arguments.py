import asyncio
import importlib
import os
import pickle
import re
import shlex
import sqlite3
import subprocess
import tarfile
import urllib.request
import xml.etree.ElementTree
from pathlib import Path
from typing import Annotated, Literal

import defusedxml.ElementTree
import httpx
import jinja2
import yaml
from mcp.server.fastmcp import Context, FastMCP
from mcp.server.fastmcp.tools import Tool
from mcp.server.lowlevel import Server
from pydantic import Field

mcp = FastMCP("twins")
server = Server("twins")
ROOT = Path("/data").resolve()
PROGRAMS = {"list": "/bin/ls"}


# --- commands


@mcp.tool()
def ping(host: str) -> str:
    # ruleid: python-command-from-argument
    return subprocess.check_output(f"ping -c1 {host}", shell=True, text=True)


@mcp.tool()
def ping_quoted(host: str) -> str:
    # ok: python-command-from-argument
    return subprocess.check_output(f"ping -c1 {shlex.quote(host)}", shell=True, text=True)


@mcp.tool
async def ping_bare(host: Annotated[str, Field(description="A host.")], ctx: Context) -> str:
    line = "ping -c1 " + host
    # ruleid: python-command-from-argument
    process = await asyncio.create_subprocess_shell(line)
    return str(await process.wait())


@mcp.tool()
def ping_counted(count: int) -> str:
    # ok: python-command-from-argument
    return os.popen(f"ping -c{count} localhost").read()


@mcp.tool()
def ping_listed(host: str) -> str:
    # ok: python-command-from-argument, python-program-from-argument
    return subprocess.run(["ping", "-c1", "--", host], capture_output=True, text=True).stdout


def not_offered(host: str) -> None:
    # ok: python-command-from-argument
    os.system(f"ping {host}")


@server.call_tool()
async def dispatch(name: str, arguments: dict) -> list:
    if name == "ping":
        # ruleid: python-command-from-argument
        os.system("ping " + arguments["host"])
    return []


def by_hand() -> Tool:
    def look_up(host: str) -> str:
        # ruleid: python-command-from-argument
        return subprocess.getoutput(f"getent hosts {host}")

    return Tool.from_function(look_up, title="Look up")


def in_shell(script: str) -> None:
    # ruleid: python-command-from-argument
    subprocess.run(["sh", "-c", script], check=True)


mcp.add_tool(in_shell, name="in_shell")


@mcp.tool()
def start(program: str) -> None:
    # ruleid: python-program-from-argument
    subprocess.run([program, "--version"], check=True)


@mcp.tool()
def start_known(program: Literal["list"]) -> None:
    # ok: python-program-from-argument
    subprocess.run([PROGRAMS[program]], check=True)


# --- code


@mcp.tool()
def calculate(expression: str) -> str:
    # ruleid: python-code-from-argument
    return str(eval(expression, {"__builtins__": {}}))


@mcp.tool()
def add(a: int, b: int) -> int:
    # ok: python-code-from-argument
    return eval("a + b", {}, {"a": a, "b": b})


@mcp.tool()
def plugin(name: str) -> str:
    # ruleid: python-module-from-argument
    return str(importlib.import_module(name))


@mcp.tool()
def plugins() -> str:
    # ok: python-module-from-argument
    return str(importlib.import_module("json"))


@mcp.tool()
def load(data: str) -> str:
    # ruleid: python-deserialised-argument
    return str(pickle.loads(bytes.fromhex(data)))


@mcp.tool()
def load_yaml(data: str) -> str:
    # ruleid: python-deserialised-argument
    return str(yaml.load(data, Loader=yaml.Loader))


@mcp.tool()
def load_safely(data: str) -> str:
    # ok: python-deserialised-argument
    return str(yaml.safe_load(data)) + str(yaml.load(data, Loader=yaml.SafeLoader))


# --- files


@mcp.tool()
def read(path: str) -> str:
    # ruleid: python-path-from-argument
    return (ROOT / path).read_text()


@mcp.tool()
def read_joined(path: str = "a.txt") -> str:
    # ruleid: python-path-from-argument
    with open(os.path.join("/data", path)) as file:
        return file.read()


@mcp.resource("notes://{name}")
def note(name: str) -> str:
    # ruleid: python-path-from-argument
    return Path(f"/data/{name}.txt").read_text()


@mcp.tool()
def read_contained(path: str) -> str:
    target = (ROOT / path).resolve()
    if not target.is_relative_to(ROOT):
        raise ValueError("outside")
    # ok: python-path-from-argument
    return target.read_text()


@mcp.tool()
def read_checked(path: str) -> str:
    target = resolve_within(ROOT, path)
    # ok: python-path-from-argument
    return target.read_text()


@mcp.tool()
def read_listed(name: str) -> str:
    if name not in ("a.txt", "b.txt"):
        raise ValueError("unknown")
    # ok: python-path-from-argument
    return (ROOT / name).read_text()


@mcp.tool()
def unpack(path: str) -> None:
    # ruleid: python-archive-from-argument
    tarfile.open(path).extractall("/data")


@mcp.tool()
def unpack_filtered(path: str) -> None:
    # ok: python-archive-from-argument
    tarfile.open(path).extractall("/data", filter="data")


# --- addresses


@mcp.tool()
def fetch(url: str) -> str:
    # ruleid: python-url-from-argument
    return urllib.request.urlopen(url).read().decode()


@mcp.tool()
async def fetch_client(host: str) -> str:
    async with httpx.AsyncClient() as client:
        # ruleid: python-url-from-argument
        return (await client.get(f"https://{host}/index.html")).text


@mcp.tool()
async def forecast(city: str) -> str:
    async with httpx.AsyncClient() as client:
        # ok: python-url-from-argument
        return (await client.get(f"https://api.example.com/{city}")).text


@mcp.tool()
async def fetch_checked(url: str) -> str:
    check_address(url)
    # ok: python-url-from-argument
    return httpx.get(url).text


# --- statements, templates, expressions


@mcp.tool()
def find(name: str) -> list:
    database = sqlite3.connect("contacts.db")
    query = f"SELECT * FROM contacts WHERE name = '{name}'"
    # ruleid: python-sql-from-argument
    return database.execute(query).fetchall()


@mcp.tool()
def find_bound(name: str) -> list:
    database = sqlite3.connect("contacts.db")
    # ok: python-sql-from-argument
    return database.execute("SELECT * FROM contacts WHERE name = ?", (name,)).fetchall()


@mcp.tool()
def greet(template: str) -> str:
    # ruleid: python-template-from-argument
    return jinja2.Template(template).render(name="you")


@mcp.tool()
def greet_name(name: str) -> str:
    # ok: python-template-from-argument
    return jinja2.Template("Hello {{ name }}").render(name=name)


@mcp.tool()
def grep(expression: str, text: str) -> list:
    # ruleid: python-expression-from-argument
    return re.findall(expression, text)


@mcp.tool()
def grep_words(word: str, text: str) -> list:
    # ok: python-expression-from-argument
    return re.findall(re.escape(word), text)


@mcp.tool()
def title(document: str) -> str:
    # ruleid: python-xml-from-argument
    return xml.etree.ElementTree.fromstring(document).findtext("title")


@mcp.tool()
def title_defused(document: str) -> str:
    # ok: python-xml-from-argument
    return defusedxml.ElementTree.fromstring(document).findtext("title")
