"""A large file is read ahead by a process of its own, while this one writes what was read so far.

The other process only reads: it gets the open file, and gives batches back through a pipe, which is as much as it may be
ahead. Should it end before the file does, for whatever reason, this one goes on reading by itself where it stood; so what comes of
a file, and why it is refused, is the same with it and without.
"""

import gc
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from threading import Lock
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


class _Seldom:
    """The collector's own setting while some threads read large files: the first changes it, and the last puts it back."""

    def __init__(self) -> None:
        self._turn, self._reading = Lock(), 0

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Look for garbage in cycles now and then only: the rows of a file come and go by the million, and are in none."""
        with self._turn:
            if not self._reading:
                self._before = gc.get_threshold()
                gc.set_threshold(ROWS_AT_ONCE, *self._before[1:])
            self._reading += 1
        try:
            yield
        finally:
            with self._turn:
                self._reading -= 1
                if not self._reading:
                    gc.set_threshold(*self._before)


collecting_seldom = _Seldom()


@contextmanager
def read_ahead(importer: ModuleType, file: File, again: IO[bytes], exported: str) -> Iterator[Iterator[Batch]]:
    """What `batches` gives; `again` is the same file, opened once more for the other process, which begins at once."""
    with again, ExitStack() as stack:
        process = _started([importer.NAME, file.name, exported], again)
        if process is None or process.stdout is None:
            yield batches(importer, file, exported)
            return
        stack.enter_context(process)
        stack.callback(process.kill)
        yield _received(importer, file, exported, process.stdout)


def _started(words: list[str], stream: IO[bytes]) -> "subprocess.Popen[bytes] | None":
    """The other process; none where the system lets us start none, or nobody knows which program we are."""
    if not sys.executable:
        return None
    command = [sys.executable, "-P", "-m", __name__, *words]
    try:
        return subprocess.Popen(command, stdin=stream, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return None


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
