"""Files as they are kept: compressed, beside what is done with them meanwhile, and unpacked again."""

import os
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryFile
from threading import Event
from typing import IO, Any, Self

from ..domain.errors import Unavailable
from ..store.connection import Connection, stream

PART = 1 << 20
"""Bytes that are read, and compressed ones that are kept, at a time."""


class Packing:
    """Compresses a file in a thread of its own: zlib lets others work meanwhile. Whatever happens, it ends with its `with`."""

    def __init__(self, path: str, stream: IO[bytes]) -> None:
        self._path, self._stream = path, stream
        self._packed = TemporaryFile()  # noqa: SIM115  # closed at the end
        self._thread = ThreadPoolExecutor(1)
        self._done: Future[None] | None = None
        self._stop = Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.shutdown()
        self._packed.close()

    def start(self) -> None:
        """Begin to compress."""
        self._done = self._thread.submit(self._pack)

    def opened_again(self) -> IO[bytes]:
        """The same file once more, to be read from its beginning beside other readers."""
        again = Path(self._path).open("rb")  # noqa: SIM115  # for the caller to close
        if os.path.samestat(os.fstat(again.fileno()), os.fstat(self._stream.fileno())):
            return again
        again.close()
        raise Unavailable(f"{self._path} was replaced while it was read: import it again")

    def _pack(self) -> None:
        with self.opened_again() as again:
            packing = _compressor()
            while (part := again.read(PART)) and not self._stop.is_set():
                self._packed.write(packing.compress(part))
            self._packed.write(packing.flush())

    def parts(self) -> Iterator[bytes]:
        """The compressed file, part by part."""
        assert self._done is not None  # it was started
        self._done.result()
        self._packed.seek(0)
        while part := self._packed.read(PART):
            yield part


def _compressor() -> Any:
    """What compresses at the first level: isal, where there is one for the machine, writes the same in a fifth of the time."""
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib.compressobj(1)
    return isal_zlib.compressobj(1)


def names(connection: Connection) -> Iterable[tuple[str, int]]:
    """The digest and the number of every part that is kept, in order."""
    return stream(connection, "SELECT sha256, part FROM evidence ORDER BY sha256, part")


def content(connection: Connection, digest: str, part: int) -> bytes:
    """One part of a file that is kept: of many at once a database would make one large answer."""
    found: bytes = connection.execute(
        "SELECT content FROM evidence WHERE sha256 = ? AND part = ?", (digest, part)
    ).fetchone()[0]
    return found


def is_kept(connection: Connection, digest: str, part: int) -> bool:
    """Is this part there?"""
    found = connection.execute("SELECT 1 FROM evidence WHERE sha256 = ? AND part = ?", (digest, part)).fetchone()
    return found is not None


def parts(connection: Connection) -> Iterator[tuple[str, int, bytes]]:
    """Every part of every file that is kept, one after the other."""
    for digest, part in names(connection):
        yield digest, part, content(connection, digest, part)


def unpack(connection: Connection, digest: str, into: IO[bytes]) -> None:
    """Write a file that is kept into another, part by part."""
    unpacking = zlib.decompressobj()
    numbers = connection.execute("SELECT part FROM evidence WHERE sha256 = ? ORDER BY part", (digest,)).fetchall()
    for (part,) in numbers:
        rest = content(connection, digest, part)
        while rest:
            into.write(unpacking.decompress(rest, PART))
            rest = unpacking.unconsumed_tail
    into.write(unpacking.flush())
