"""Every importer, and the whole way of a file into books, against inputs that nobody wrote: `make fuzz`.

A crash it finds becomes a test in `test_import_refusals`.
"""

import sys
import tempfile
from pathlib import Path
from zlib import crc32

import atheris

with atheris.instrument_imports(include=["mecris.importers", "mecris.domain.payload"]):
    from mecris.domain.errors import MecrisError
    from mecris.importers.formats import FORMATS, recognised
    from mecris.importers.kinds import WRONG_SHAPE
    from mecris.importers.reading import File

from mecris.books import Books
from mecris.domain.commands import OpenCycle

RUNS = 20_000
SAMPLES = Path(__file__).parent / "samples"


class Fuzzed:
    """Books to which files are offered that nobody wrote."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "fuzzed"
        self.books = Books.open(folder / "books.db")
        self.books.handle(OpenCycle(start_date="2025-01-01", end_date="2027-12-31", target_usd=100))

    def one_input(self, data: bytes) -> None:
        """Nothing but a refusal, or what says that the file is of another shape, may come out of any importer."""
        found = recognised(File.of(data, "fuzzed"))
        for importer in FORMATS.values():
            file = File.of(data, "fuzzed")
            try:
                importer.report(file)
                for _ in importer.read(file):
                    pass
            except (MecrisError, *WRONG_SHAPE):
                continue
        self._imported(data, found[0].NAME if len(found) == 1 else list(FORMATS)[crc32(data) % len(FORMATS)])

    def _imported(self, data: bytes, format: str) -> None:
        """Every fourth file is taken in for good, so that others meet what is there."""
        self.path.write_bytes(data)
        try:
            self.books.import_file(self.path, format=format, provider="claude", dry_run=bool(crc32(data) % 4))
        except MecrisError:
            return


def main() -> None:
    """Begin with the samples, and change them."""
    with tempfile.TemporaryDirectory() as corpus, tempfile.TemporaryDirectory() as folder:
        for number, sample in enumerate(p for p in SAMPLES.glob("*/*") if not p.name.endswith(".expected.json")):
            Path(corpus, f"{number}").write_bytes(sample.read_bytes()[:20_000])
        atheris.Setup(
            [sys.argv[0], f"-runs={RUNS}", "-seed=1", "-max_len=20000", "-timeout=20", corpus],
            Fuzzed(Path(folder)).one_input,
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
