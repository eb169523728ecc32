"""Ordinary values for files, folders, repositories and revisions: what exists in the container.

``mcp_sandbox.samples`` names what is there. Which kind of file a parameter wants is read from its
name, its description and its tool; a file that is to be written is one that is not there yet, and
what a tool moves or deletes is nothing that other calls need.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise

from mcp_sandbox import samples
from mcp_sandbox.model import Json
from mcp_sandbox.probe.context import MAX_TEXT, Context, Guess, Hint, prose, words
from mcp_sandbox.samples import SCRATCH

_FILE_WORDS = frozenset(
    ("file", "filename", "filepath", "files", "document", "image", "attachment")
)
_PATH_WORDS = frozenset(("path", "paths", "pathname", "filepath"))
_FOLDER_WORDS = frozenset(
    ("directory", "dir", "folder", "cwd", "workdir", "workspace", "dirname", "directories")
)
_LOOKING = frozenset(("search", "list", "ls", "tree", "find", "glob", "grep", "scan", "browse"))
"""A tool named so looks through a folder: its ``path`` is one, unless a file is spoken of."""
_FILE_SUFFIX_WORDS = frozenset(("name", "names", "path", "paths", "file"))
_ENDS = frozenset(("source", "destination", "src", "dst", "dest"))
"""Parameters named so are paths where the description or the tool speaks of files."""
_OF_FILES = frozenset(("path", "file", "files", "directory", "folder", "directories", "folders"))
_NEW = frozenset(
    ("output", "out", "outfile", "destination", "dest", "dst", "target", "new", "save", "export")
)
_TAKING = frozenset(
    [
        *("move", "rename", "delete", "remove", "unlink", "trash", "rmdir", "rm", "erase", "mv"),
        *("clear", "truncate", "wipe", "encrypt", "decrypt", "protect", "unprotect"),
        *("lock", "unlock"),
    ]
)
"""A tool named so leaves a file that others cannot work with any more."""
_MAKING = frozenset(("create", "make", "mkdir", "new"))
_MADE = frozenset(("file", "document", "workbook", "spreadsheet", "presentation"))
"""A tool that makes one makes one that is not there."""
_URLS = frozenset(("url", "urls", "uri", "uris"))
_NO_PATHS = _URLS | {"jsonpath", "xpath"}
_REPOSITORY_WORDS = frozenset(("repo", "repository"))
_HOSTING = re.compile(r"github|gitlab|gitea|bitbucket|azure devops", re.IGNORECASE)
"""Git over somebody's API: its repositories are no folders."""
_REPOSITORY = re.compile(
    r"\bgit (?:repositor|repo\b|work|commit|branch|histor|project)", re.IGNORECASE
)
"""Many a tool shows a "git-style diff" and knows nothing of git."""

_KINDS: Mapping[str, str] = {
    **{kind: kind for kind in samples.KINDS},
    "text": "txt",
    "markdown": "md",
    "jpg": "png",
    "jpeg": "png",
    "gif": "png",
    "webp": "png",
    "image": "png",
    "images": "png",
    "picture": "png",
    "photo": "png",
    "screenshot": "png",
    "media": "png",
    "audio": "wav",
    "mp3": "wav",
    "sound": "wav",
    "word": "docx",
    "doc": "docx",
    "excel": "xlsx",
    "xls": "xlsx",
    "xlsm": "xlsx",
    "workbook": "xlsx",
    "worksheet": "xlsx",
    "spreadsheet": "xlsx",
    "sqlite": "db",
    "sqlite3": "db",
    "database": "db",
    "yml": "yaml",
    "htm": "html",
    "python": "py",
    "archive": "zip",
}
"""A word, or an ending, and which sample is of that kind."""
_ENDING = re.compile(r"(?<![\w.])[*\w-]{0,40}\.([A-Za-z0-9]{2,5})\b")
_TELLING = frozenset(
    ("pdf", "docx", "excel", "xlsx", "xls", "workbook", "worksheet", "spreadsheet", "csv", "sqlite",
     "audio")
)  # fmt: skip
"""Words that say a kind of file where a tool is described, and hardly anything else."""
_AMBIGUOUS = frozenset(("text", "word", "database"))
_BECOMES = frozenset(("to", "into", "as"))
"""What stands behind one of these in a tool's name is what a file is turned into."""
_CODE = tuple(f".{kind}" for kind in samples.CODE)
_WRITTEN = (samples.NEW_STEM, samples.SPARE)
_FILE_URI = re.compile(r"\bfile:", re.IGNORECASE)
_WORD_FILE = re.compile(r"\bword (?:document|file)|\.docx\b|\bmicrosoft word\b", re.IGNORECASE)


def place(parts: tuple[str, ...], description: str, context: Context) -> Guess | None:
    """A guess for a file, a folder or a ``file:`` URI; None for anything else."""
    said, about = frozenset(parts), prose(description)
    in_git = is_git(description, context)
    if said & _URLS and in_git:
        return Guess((Hint.URL,), f"file://{SCRATCH}/{samples.REMOTE}")
    if said & _URLS and _speaks_of_file_uris(description, context):
        file = f"{SCRATCH}/{samples.STEM}.{kind(parts, description, context)}"
        return Guess((Hint.URL, Hint.PATH), f"file://{file}")
    if not parts or said & _NO_PATHS:
        return None
    if said & {"sort", "order"} and parts[-1] == "dir":
        return Guess((Hint.NAME,), "asc")
    found = _in_git(parts, about, context) if in_git else None
    return found or _in_files(parts, description, context)


def _in_files(parts: tuple[str, ...], description: str, context: Context) -> Guess | None:
    said, about = frozenset(parts), prose(description)
    is_folder, is_file = _folder_or_file(parts, about, context)
    if is_folder:
        return Guess((Hint.DIRECTORY, Hint.PATH), _folder(said, context))
    if not is_file:
        return None
    absolute = context.absolute or "absolute" in about
    name = _name(said, kind(parts, description, context), context)
    if parts[-1] in ("name", "names", "filename") and not absolute:
        return Guess((Hint.PATH, Hint.NAME), name)
    return Guess((Hint.PATH,), _file(name, context, absolute=absolute))


def _folder_or_file(
    parts: tuple[str, ...], about: frozenset[str], context: Context
) -> tuple[bool, bool]:
    said, last = frozenset(parts), parts[-1]
    if said & _FOLDER_WORDS or said >= {"repo", "path"}:
        return True, False
    if last in _FILE_WORDS or (said & _FILE_WORDS and last in _FILE_SUFFIX_WORDS):
        return False, True
    around = about | context.named
    if not said & _PATH_WORDS and not (last in _ENDS and around & _OF_FILES):
        return False, False
    speaks = around & (_FOLDER_WORDS | {"tree"}) or (context.named & _LOOKING and not context.kind)
    is_folder = bool(speaks) and "file" not in around
    return is_folder, not is_folder


def kind(parts: tuple[str, ...], description: str, context: Context) -> str:
    """Which of ``samples.KINDS`` a parameter wants; what stands nearest to it counts first."""
    for ending in _ENDING.findall(description[:MAX_TEXT]):
        if ending.lower() in _KINDS:
            return _KINDS[ending.lower()]
    for near in (parts, words(description[:MAX_TEXT].lower())):
        if found := _first_kind(near):
            return found
    if "database" in parts or "db" in parts:
        return "db"
    if context.kind:
        return context.kind
    tool = pairwise(("", *words(context.tool)))
    if found := _first_kind(word for before, word in tool if before not in _BECOMES):
        return found
    told = _told(f"{context.tool} {description} {context.description}")
    return told.pop() if len(told) == 1 else "txt"


def common_kind(tools: Iterable[Json]) -> str:
    """The kind of file that a server's tools are about; empty when they are about none or many.

    One tool in ten says it by its name and description alone, no fewer than two do, and three times
    as many as say another.
    """
    count, told = 0, Counter[str]()
    for tool in tools:
        count += 1
        if isinstance(tool, dict):
            found = _told(f"{tool.get('name')} {tool.get('description')}")
            told.update(found if len(found) == 1 else ())
    (best, most), (_, second) = (*told.most_common(2), ("", 0), ("", 0))[:2]
    return best if most >= max(2, count / 10, 3 * second) else ""


def _first_kind(near: Iterable[str]) -> str:
    return next((_KINDS[word] for word in near if word in _KINDS and word not in _AMBIGUOUS), "")


def _told(text: str) -> set[str]:
    """The kinds of files that a tool speaks of."""
    told = {_KINDS[word] for word in prose(text) & _TELLING}
    return told | {"docx"} if _WORD_FILE.search(text[:MAX_TEXT]) else told


def is_git(description: str, context: Context) -> bool:
    """A tool works with a git repository of the machine."""
    text = f"{context.tool} {context.description[:MAX_TEXT]} {description[:MAX_TEXT]}"
    local = "git" in context.named or _REPOSITORY.search(text) is not None
    return local and _HOSTING.search(text) is None


_COMMITS = frozenset(
    ("commit", "commits", "revision", "ref", "rev", "sha", "target", "base", "object", "treeish")
)


def revision(parts: tuple[str, ...], context: Context) -> str:
    """A branch, a commit, a tag or a remote of the sample repository; empty for anything else."""
    said = frozenset(parts)
    first = said & {"from", "old", "start", "base", "source"}
    joins = context.named & {"merge", "cherry"}
    if said & {"branch", "branches", "upstream", "onto"}:
        if context.named & _MAKING and not first:
            return "sample"
        return samples.OTHER_BRANCH if joins else samples.BRANCH
    if said & _COMMITS:
        return samples.OTHER_BRANCH if joins else "HEAD~1" if first else "HEAD"
    return "origin" if "remote" in said else samples.TAG if "tag" in said else ""


# --- parts ----------------------------------------------------------------------------------------


def _speaks_of_file_uris(description: str, context: Context) -> bool:
    texts = (description[:MAX_TEXT], context.description[:MAX_TEXT])
    return any(_FILE_URI.search(text) for text in texts)


def _in_git(parts: tuple[str, ...], about: frozenset[str], context: Context) -> Guess | None:
    """The sample repository, or a file in it."""
    said = frozenset(parts)
    last = parts[-1]
    repository = _repository(context)
    of_files = last in {"files", "file", "paths", "pathspec", "pathspecs"} or (
        bool(said & _FILE_WORDS) and last in _FILE_SUFFIX_WORDS
    )
    if of_files or (last == "path" and about & {"file", "files", "relative"}):
        absolute = context.absolute or "absolute" in about
        return Guess((Hint.PATH,), f"{repository}/{samples.FILE}" if absolute else samples.FILE)
    in_words = bool(said & _REPOSITORY_WORDS) and bool(
        about & {"path", "directory", "folder", "local"}
    )
    if in_words or said & _PATH_WORDS or said & _FOLDER_WORDS:
        if context.named & {"clone", "worktree"} and not said & _REPOSITORY_WORDS:
            return Guess((Hint.DIRECTORY, Hint.PATH), f"{SCRATCH}/{samples.NEW_FOLDER}")
        return Guess((Hint.DIRECTORY, Hint.PATH), repository)
    return None


def _repository(context: Context) -> str:
    """Where a repository is: the folder that the server was given, unless all of them share it."""
    given = context.directories[:1]
    return given[0] if given and given[0] != SCRATCH else f"{SCRATCH}/{samples.REPOSITORY}"


def _folder(said: frozenset[str], context: Context) -> str:
    base = (SCRATCH if context.absolute else (*context.directories, SCRATCH)[0]).rstrip("/")
    if context.named & _TAKING and not said & _NEW:
        return f"{SCRATCH}/{samples.SPARE}" if base == SCRATCH else base
    made = context.named & _MAKING and context.named & (_FOLDER_WORDS | {"mkdir"})
    return f"{base}/{samples.NEW_FOLDER}" if made else base or "/"


def _name(said: frozenset[str], ending: str, context: Context) -> str:
    """The last part of a file's path."""
    if said & _NEW or (context.named & _MAKING and context.named & _MADE):
        return f"{samples.NEW_STEM}.{ending}"
    if "export" in context.named and context.kind not in {"", ending}:
        return f"{samples.NEW_STEM}.{ending}"
    return f"{samples.SPARE if context.named & _TAKING else samples.STEM}.{ending}"


def _file(name: str, context: Context, *, absolute: bool) -> str:
    """A file's path, the same for every tool that wants its kind."""
    if context.paths and not context.absolute and name == samples.FILE:
        return context.paths[0]
    if context.directories and not context.absolute:
        return f"{context.directories[0].rstrip('/')}/{name}"
    nowhere_else = name.startswith(_WRITTEN) or name.endswith(_CODE)
    return f"{SCRATCH}/{name}" if absolute or nowhere_else else name
