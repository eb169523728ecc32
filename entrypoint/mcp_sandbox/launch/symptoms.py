"""How failures to start are worded: by kernels, engines, runtimes, libraries and other protocols.

Every pattern is linear in its line, and is given lines that ``needs.readable`` has bounded.
"""

from __future__ import annotations

import re


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


EXEC_FORMAT = _words(r"exec format error", r"cannot execute binary file")
NO_PROGRAM = _words(
    r"executable file not found",
    r"exec:? .{0,200}(?:no such file|permission denied|not a directory)",
    r"no such file or directory: unknown",
    r"permission denied: unknown",
    r"^\S{0,80}sh: (?:line )?\d*:? ?\S{1,200}: (?:command )?not found",
    r"env: .{1,100}: No such file or directory",
    r"can't open file '[^']{1,200}'",
    r"Unable to access jarfile",
)
MEMORY = _words(
    r"JavaScript heap out of memory",
    r"^MemoryError\b",
    r"OutOfMemoryError",
    r"Cannot allocate memory",
    r"\bENOMEM\b",
    r"std::bad_alloc",
    r"memory allocation of \d+ bytes failed",
    r"runtime: out of memory",
    r"Could not reserve enough space for .{0,40}heap",
)
FOLDER = re.compile(
    r"(?:Read-only file system|\bEROFS\b|Permission denied|\bEACCES\b|PermissionError"
    # What Node says of a folder to make, parents and all, on a read-only file system.
    r"|ENOENT: no such file or directory, mkdir"
    r"|not writable|No space left on device|\bENOSPC\b|(?:cannot|unable to|failed to) create "
    r"(?:the )?(?:log |cache |data )?(?:dir|folder|file)"
    r"|(?:dir|directory|folder) (?:couldn't|could not|cannot) be created"
    r"|not accessible for read/write)",
    re.IGNORECASE,
)
ABSOLUTE = re.compile(r"['\"`: ](/[\w.@+/-]{1,200})")
IMPORT = re.compile(
    r"\bModuleNotFoundError\b|\bImportError\b|Cannot find (?:module|package)|ERR_MODULE_NOT_FOUND"
    r"|ERR_REQUIRE_ESM|ERR_UNSUPPORTED_DIR_IMPORT|ERR_PACKAGE_PATH_NOT_EXPORTED|^\s*SyntaxError:"
    r"|\bNoClassDefFoundError\b|\bClassNotFoundException\b|\bUnsupportedClassVersionError\b"
    r"|error while loading shared libraries|version `GLIBC\w*_|symbol lookup error"
    r"|Error loading shared library|Error relocating |\bDllNotFoundException\b|no main manifest"
    r"|does not provide an export named|is not a constructor|cannot import name"
    # A class or module that has lost a part; None and plain values are the server's own mistake.
    r"|AttributeError: (?:module|type object) '[\w.]{1,100}' has no attribute"
    r"|AttributeError: '(?!NoneType|str|int|float|bool|list|dict|tuple|set|bytes)\w{1,100}' object"
    r" has no attribute"
)
NO_FILE = re.compile(
    r"\bENOENT\b|\bEISDIR\b|no such file or directory|FileNotFoundError|IsADirectoryError"
    r"|\bis a directory\b|(?:cannot|could not|failed to) (?:find|open|read) (?:the )?file"
    r"|file (?:is )?(?:not found|does not exist|missing)",
    re.IGNORECASE,
)
"""Something was opened as a file that is none."""
A_FOLDER = re.compile(r"\bEISDIR\b|IsADirectoryError|\bis a directory\b", re.IGNORECASE)
"""The same, and it is a folder."""
NATIVE = re.compile(
    # As bindings, node-gyp-build, prebuilds and plain ``require`` word it.
    r"Cannot find module '[^'\n]{1,200}\.node'|Could not locate the bindings file"
    r"|No native build was found[^\n]{0,100}|Could not load the \"[^\"\n]{1,60}\" module using"
)
"""A compiled part of a package of npm that is not there."""
NETWORK = re.compile(
    r"\bENOTFOUND\b|\bEAI_AGAIN\b|\bECONNREFUSED\b|\bECONNRESET\b|\bETIMEDOUT\b|\bENETUNREACH\b"
    r"|network is unreachable|name or service not known|name resolution|no such host"
    r"|getaddrinfo|could not resolve|failed to resolve|fetch failed|socket hang up"
    r"|connection refused|connection reset|connection timed out|ConnectError"
    r"|connect(?:ion)? (?:attempts? )?failed"
    r"|ConnectionError|SSLError|SSLEOFError|certificate verify failed|self[- ]signed certificate"
    r"|TLS handshake|\btls: handshake failure|ssl/tls alert"
    r"|\bEPROTO\b|x509:|failed to (?:connect|download|fetch)"
    r"|could not connect|unable to connect"
    r"|Max retries exceeded|dns error|i/o timeout",
    re.IGNORECASE,
)
LISTENS = re.compile(
    r"\b(?:listening|running|started|serving|available)\b.{0,60}(?:\bport\b|https?://|:\d{2,5}\b)",
    re.IGNORECASE,
)
ASKS_STDIO = re.compile(r"--stdio\b|--transport[= ]stdio\b|\bstdio (?:mode|transport|flag)\b")
ITS_OWN = "JSON that is no message of MCP"
PROTOCOLS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"Content-Length: ?\d"), "the framing of the Language Server Protocol"),
    (re.compile(r"HTTP/\d"), "HTTP on its standard output"),
    (re.compile(r"\s{0,20}<(?:!doctype|html|\?xml|[a-z]{1,20}[ >])", re.IGNORECASE), "markup"),
    (re.compile(r"SSH-\d"), "SSH"),
    (re.compile(r"\\x16\\x03"), "TLS"),
    (re.compile(r"220[ -]"), "SMTP or FTP"),
    (re.compile(r"\+OK\b|\* OK\b"), "a mail protocol"),
    (re.compile(r"RFB \d"), "VNC"),
    (re.compile(r"\s{0,20}[{\[]"), ITS_OWN),
)
"""How another protocol begins -> its name."""
