"""Where sample files lie: in the writable folder, and beside the program for relative names."""

from __future__ import annotations

from collections.abc import Sequence

from mcp_sandbox import samples
from mcp_sandbox.planted import kinds
from mcp_sandbox.planted.gitfiles import Objects, index
from mcp_sandbox.samples import (
    BRANCH,
    FILE,
    OTHER_BRANCH,
    REMOTE,
    REPOSITORY,
    SCRATCH,
    TAG,
    TIME,
)

MAX_FOLDERS = 5
"""Who names more of them has files in these."""
_NAME, _ADDRESS = "Sample Author", "author@example.com"
_NOBODY = "0" * 40
_CORE = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n"


def samples_in_scratch() -> dict[str, bytes]:
    """Absolute path below ``SCRATCH`` -> content; a path that ends in ``/`` is an empty folder."""
    found = {**_flat(SCRATCH, samples.STEM, samples.SPARE), f"{SCRATCH}/{samples.SPARE}/": b""}
    found[f"{SCRATCH}/{samples.FOLDER}/{FILE}"] = found[f"{SCRATCH}/{FILE}"]
    remote = f"{SCRATCH}/{REMOTE}"
    here, there = _repositories(remote)
    found |= {f"{SCRATCH}/{REPOSITORY}/{path}": data for path, data in here.items()}
    return found | {f"{remote}/{path}": data for path, data in there.items()}


def samples_beside(folders: Sequence[str]) -> dict[str, bytes]:
    """The plain files once more in the first few folders, absolute; none for the writable one."""
    found: dict[str, bytes] = {}
    for folder in list(dict.fromkeys(folders))[:MAX_FOLDERS]:
        if folder != SCRATCH and not folder.startswith(f"{SCRATCH}/"):
            found |= _flat(folder.rstrip("/"), samples.STEM)
    code = tuple(f".{kind}" for kind in samples.CODE)
    return {path: data for path, data in found.items() if not path.endswith(code)}


def _flat(folder: str, *stems: str) -> dict[str, bytes]:
    """One file of each kind for each stem."""
    made = kinds.every()
    return {f"{folder}/{stem}.{kind}": data for stem in stems for kind, data in made.items()}


def _repositories(remote: str) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """A checked-out repository, and the bare one that it was cloned from; path -> content."""
    objects = Objects()
    who = [f"{_NAME} <{_ADDRESS}> {TIME - 3_600 * hours} +0000" for hours in (3, 2, 1)]
    first = {FILE: b"Sample text.\n", samples.STAGED: b"# Sample\n"}
    second = first | {FILE: b"Sample text.\nSome more notes.\n"}
    third = second | {"feature.txt": b"A new feature.\n"}
    one = objects.commit(objects.tree(first), who[0], "Add the notes\n")
    two = objects.commit(objects.tree(second), who[1], "Add more notes\n", (one,))
    three = objects.commit(objects.tree(third), who[2], "Add a feature\n", (two,))
    staged = first[samples.STAGED] + b"\nA staged line.\n"
    stored = {
        FILE: objects.add("blob", second[FILE]),
        samples.STAGED: objects.add("blob", staged),
    }
    sizes = {FILE: len(second[FILE]), samples.STAGED: len(staged)}
    heads = {f"refs/heads/{BRANCH}": two, f"refs/heads/{OTHER_BRANCH}": three}
    refs = heads | {f"refs/tags/{TAG}": one}
    log = f"{_NOBODY} {one} {who[0]}\tcommit (initial): Add the notes\n"
    log += f"{one} {two} {who[1]}\tcommit: Add more notes\n"
    remotes = {name.replace("heads", "remotes/origin"): commit for name, commit in heads.items()}
    here = {
        "HEAD": f"ref: refs/heads/{BRANCH}\n",
        "config": f"{_CORE}\tbare = false\n\tlogallrefupdates = true\n"
        # What a copy keeps of a file is its size and the second of its change.
        "\tcheckstat = minimal\n\ttrustctime = false\n"
        f"[user]\n\tname = {_NAME}\n\temail = {_ADDRESS}\n[gc]\n\tauto = 0\n"
        f'[remote "origin"]\n\turl = {remote}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n'
        f'[branch "{BRANCH}"]\n\tremote = origin\n\tmerge = refs/heads/{BRANCH}\n',
        "logs/HEAD": log,
        f"logs/refs/heads/{BRANCH}": log,
        **{name: f"{commit}\n" for name, commit in (refs | remotes).items()},
    }
    there = {
        "HEAD": f"ref: refs/heads/{BRANCH}\n",
        "config": f"{_CORE}\tbare = true\n",
        **{name: f"{commit}\n" for name, commit in refs.items()},
    }
    loose = {f"objects/{path}": data for path, data in objects.files.items()}
    work = {
        FILE: second[FILE] + b"A changed line.\n",
        samples.STAGED: staged,
        samples.UNTRACKED: b"A draft.\n",
        ".git/index": index({path: (blob, sizes[path]) for path, blob in stored.items()}, TIME),
        **{f".git/{path}": text.encode() for path, text in here.items()},
        **{f".git/{path}": data for path, data in loose.items()},
    }
    return work, {path: text.encode() for path, text in there.items()} | loose
