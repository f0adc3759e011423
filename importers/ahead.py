"""A large file is read ahead by a process of its own, while this one writes what was read so far.

The other process only reads: it gets the open file, and gives batches back through a pipe, which is as much as it may be
ahead. Should it end before the file does, for whatever reason, this one goes on reading by itself where it stood; so what comes of
a file, and why it is refused, is the same with it and without.
"""

import gc
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from types import ModuleType
from typing import IO

import msgspec

from .batches import Batch, batches
from .reading import File

LARGE = 8 << 20
"""Bytes from which a second process is worth its start."""
ROWS_AT_ONCE = 500_000
"""Objects made and not gone again, after which cycles are looked for."""
LENGTH = 8
"""Bytes that say how long the next batch is; the end is one of no length."""


@contextmanager
def collecting_seldom() -> Iterator[None]:
    """Look for garbage in cycles now and then only: the rows of a file come and go by the million, and are in none."""
    before = gc.get_threshold()
    gc.set_threshold(ROWS_AT_ONCE, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


@contextmanager
def read_ahead(importer: ModuleType, file: File, again: IO[bytes], exported: str) -> Iterator[Iterator[Batch]]:
    """What `batches` gives; `again` is the same file, opened once more for the other process, which begins at once."""
    command = [sys.executable, "-P", "-m", __name__, importer.NAME, file.name, exported]
    with again, subprocess.Popen(command, stdin=again, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None  # it was asked for
        try:
            yield _received(importer, file, exported, process.stdout)
        finally:
            process.kill()


def _received(importer: ModuleType, file: File, exported: str, pipe: IO[bytes]) -> Iterator[Batch]:
    done = 0
    decode = msgspec.msgpack.Decoder(Batch).decode
    while (length := pipe.read(LENGTH)) and (size := int.from_bytes(length)):
        found = pipe.read(size)
        if len(found) < size:
            break
        yield decode(found)
        done += 1
    if length != bytes(LENGTH):
        yield from islice(batches(importer, file, exported), done, None)


def main() -> None:
    """Read the file on the standard input, as the other process."""
    from .formats import FORMATS

    format, name, exported = sys.argv[1:]
    encode = msgspec.msgpack.Encoder().encode
    with collecting_seldom():
        for batch in batches(FORMATS[format], File(name, sys.stdin.buffer), exported):
            found = encode(batch)
            sys.stdout.buffer.write(len(found).to_bytes(LENGTH) + found)
    sys.stdout.buffer.write(bytes(LENGTH))


if __name__ == "__main__":
    main()
