"""`mecris import --watch`: a folder whose files are imported as they come, and again when they change."""

import time
from pathlib import Path
from typing import Any

from ..books import Books
from ..domain.errors import UNKNOWN_FORMAT, Busy, PayloadRefused, Unavailable
from .common import tell, write_json
from .importing import batch

FOR_GOOD = (None, PayloadRefused.code, UNKNOWN_FORMAT, "fault")
"""What is done with a file until it changes: it was imported, or is none that can be."""
AWAY = (Unavailable.code, Busy.code)
"""What is no fault of a file: the books cannot be had."""
LATER = 30.0
"""Seconds until a file is tried again that was refused for how the books stood."""
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
    again: dict[Path, float] = {}
    there = True
    while True:
        there = _there(folder, before=there)
        now = look(folder)
        ready = [path for path, state in now.items() if before.get(path) == state and done.get(path) != state]
        clock = time.monotonic()
        due = [path for path in ready if clock >= again.get(path, clock)]
        for path, answer, _ in batch(opened, due, how, as_json):
            if as_json:
                write_json([answer])
            if answer.get("code") in FOR_GOOD:
                done[path] = now[path]
            else:
                again[path] = clock + LATER
                if answer.get("code") in AWAY and not as_json:
                    tell(f"  {path.name} is tried again in {LATER:.0f} s")
        before = now
        time.sleep(PAUSE)


def _there(folder: Path, *, before: bool) -> bool:
    """Is the folder there? It is said when that changes: a folder that is gone looks like one in which nothing comes."""
    there = folder.is_dir()
    if before and not there:
        tell(f"{folder} is gone: it is watched again when it is back")
    if there and not before:
        tell(f"{folder} is back")
    return there


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
