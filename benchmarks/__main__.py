"""Measure everything, print the table, and write docs/benchmarks.md: `python -m benchmarks [--quick]`."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from . import asking, importing, recording, replaying, report, running, servers, serving
from .data import mixed_books
from .sizes import QUICK, Sizes

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"


def main() -> None:
    """Run what the command line asks for."""
    options = _options()
    sizes = QUICK if options.quick else Sizes(options.size)
    with TemporaryDirectory(prefix="mecris-bench-") as folder:
        found = list(_told(_rows(Path(folder), sizes)))
    print(f"{report.machine()}; {sizes.events:,} events\n\n{report.for_terminal(found)}")
    if options.write and not options.quick:
        report.write(
            options.write,
            sizes.events,
            found,
            (*recording.HOW, *replaying.HOW, *asking.HOW, *running.HOW, *serving.HOW, *servers.HOW, *importing.HOW),
        )
        print(f"\nwritten: {options.write}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that everything runs; writes nothing")
    parser.add_argument("--size", type=int, default=200_000, help="events in the large books (default: %(default)s)")
    parser.add_argument("--write", type=Path, default=PAGE, help="the page to write (default: %(default)s)")
    return parser.parse_args()


def _rows(folder: Path, sizes: Sizes) -> Iterator[report.Row]:
    yield from recording.rows(folder, sizes)
    books = folder / "data" / "mecris" / "books.db"  # where they would be by default if `data` were the data directory
    mixed_books(books, sizes.events)
    yield from asking.rows(folder, books, sizes)
    yield from replaying.rows(folder, books, sizes)
    yield from running.rows(folder, books, sizes)
    yield from serving.rows(folder, books, sizes)
    yield from servers.rows(sizes)
    yield from importing.rows(folder, books, sizes)


def _told(rows: Iterator[report.Row]) -> Iterator[report.Row]:
    """Say what has been measured while the rest still runs."""
    for row in rows:
        print(f"{row.what}: {row.measured} {row.cells[4]}", file=sys.stderr)
        yield row


if __name__ == "__main__":
    main()
