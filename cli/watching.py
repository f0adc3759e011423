"""`mecris import --watch`: a folder whose files are imported as they come, and again when they change."""

import time
from pathlib import Path
from typing import Any

from ..books import Books
from ..domain.errors import Unavailable
from .common import tell
from .importing import each

PAUSE = 1.0
"""Seconds between two looks; a file that changed between them is still being written."""
Seen = dict[Path, tuple[int, int]]


def watch(opened: Books, folder: Path, how: dict[str, Any], as_json: bool) -> int:
    """Import what is there, then what comes, until it is interrupted."""
    if not folder.is_dir():
        raise Unavailable(f"{folder} is no folder: name one that is there")
    tell(f"watching {folder}, until it is interrupted")
    done: Seen = {}
    before: Seen = {}
    while True:
        now = look(folder)
        ready = [path for path, state in now.items() if before.get(path) == state and done.get(path) != state]
        each(opened, iter(ready), how, as_json) if ready else None
        done |= {path: now[path] for path in ready}
        before = now
        time.sleep(PAUSE)


def look(folder: Path) -> Seen:
    """Every regular file in a folder and below, with its size and time; links lead elsewhere and are passed over."""
    found: Seen = {}
    for path in sorted(folder.rglob("*")):
        try:
            if path.is_symlink() or not path.is_file():
                continue
            state = path.stat()
        except OSError:
            continue
        found[path] = (state.st_size, state.st_mtime_ns)
    return found
