"""What ordinary calls find in a server's container, by name: who names it and who makes it agree.

The writable folder of every server holds one small file of each common kind, a git repository with
a remote one, and what may be taken away without another call missing it. None of it is a secret.
"""

from __future__ import annotations

SCRATCH = "/tmp"  # noqa: S108 - the one writable folder of a server's container
TIME = 1_735_732_800
"""2025-01-01T12:00:00Z: when all of it was changed."""
STEM = "notes"
FILE = f"{STEM}.txt"
TEXT = "Sample text."
KINDS = (
    *("txt", "md", "json", "csv", "html", "xml", "yaml", "py", "log", "svg"),
    *("pdf", "png", "wav", "docx", "xlsx", "db", "zip"),
)
"""Endings of the sample files: ``notes.txt``, ``notes.json``…"""
CODE = ("py",)
"""Kinds that are in the writable folder alone: beside a program it would find them as its own."""
SPARE = "spare"
"""For tools that move or delete what they are given: a folder, and a file of each kind."""
FOLDER = "folder"
"""A folder with a file in it."""
NEW_STEM = "new-notes"
NEW_FOLDER = "new-folder"
"""What tools are told to make: neither is there."""

TABLE = "notes"
"""The table of the sample database, with the columns ``id``, ``title`` and ``content``."""
SHEET = "Sheet1"
"""The sheet of the sample workbook; its first row has the titles ``id``, ``title``, ``content``."""

REPOSITORY = "repository"
"""A folder under git: on ``BRANCH``, with a staged change, one of ``FILE`` that is not staged, and
``UNTRACKED``."""
REMOTE = "repository.git"
"""The bare repository that its remote ``origin`` is."""
BRANCH = "main"
OTHER_BRANCH = "develop"
"""One commit further than ``BRANCH``, which touches no file that differs in the folder."""
TAG = "v1.0.0"
UNTRACKED = "draft.txt"
STAGED = "README.md"
