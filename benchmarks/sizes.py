"""How much is measured: a full run, or a quick one that only shows that everything works."""

from typing import NamedTuple


class Sizes(NamedTuple):
    """Numbers of events, of readings and of rounds."""

    events: int
    few: int = 1_000
    past: int = 10_000
    long_past: int = 100_000
    writes: int = 500
    batch: int = 5_000
    questions: int = 1_000
    rounds: int = 15
    replays: int = 3
    starts: int = 41
    dispatches: int = 100_000
    few_rounds: int = 5
    requests: int = 4_000
    log_lines: int = 200_000
    spend_rows: int = 1_000_000


QUICK = Sizes(2_000, 300, 300, 600, 20, 100, 30, 3, 1, 3, 2_000, 2, 320, 2_000, 5_000)
