"""Every importer against inputs that nobody wrote: `make fuzz`. A crash it finds becomes a test in `test_imports`."""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["mecris.importers", "mecris.domain.payload"]):
    from mecris.domain.errors import MecrisError
    from mecris.importers.formats import FORMATS, recognised
    from mecris.importers.kinds import WRONG_SHAPE
    from mecris.importers.reading import File

RUNS = 20_000
SAMPLES = Path(__file__).parent / "samples"


def one_input(data: bytes) -> None:
    """Nothing but a refusal, or what says that the file is of another shape, may come out of any importer."""
    recognised(File.of(data, "fuzzed"))
    for importer in FORMATS.values():
        file = File.of(data, "fuzzed")
        try:
            importer.report(file)
            for _ in importer.read(file):
                pass
        except (MecrisError, *WRONG_SHAPE):
            continue


def main() -> None:
    """Begin with the samples, and change them."""
    with tempfile.TemporaryDirectory() as corpus:
        for number, sample in enumerate(p for p in SAMPLES.glob("*/*") if not p.name.endswith(".expected.json")):
            Path(corpus, f"{number}").write_bytes(sample.read_bytes()[:20_000])
        atheris.Setup([sys.argv[0], f"-runs={RUNS}", "-seed=1", "-max_len=20000", "-timeout=20", corpus], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
