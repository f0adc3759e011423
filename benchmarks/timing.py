"""Measuring on a noisy machine: contenders take turns, and what is compared is the median of the rounds' ratios."""

import gc
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from time import perf_counter

Contenders = Mapping[str, Callable[[], object]]


class Rounds:
    """How many seconds each contender took in each round."""

    def __init__(self, seconds: Mapping[str, Sequence[float]]) -> None:
        self.seconds = seconds

    def median(self, name: str) -> float:
        """The middle of a contender's times."""
        return median(self.seconds[name])

    def ratio(self, name: str, other: str) -> float:
        """How many times as long a contender takes as another one: the middle of the rounds."""
        return median(a / b for a, b in zip(self.seconds[name], self.seconds[other], strict=True))

    def spread(self, name: str, other: str) -> str:
        """The lowest and the highest ratio of a round."""
        ratios = [a / b for a, b in zip(self.seconds[name], self.seconds[other], strict=True)]
        return f"{min(ratios):.2f} to {max(ratios):.2f}"


def take_turns(contenders: Contenders, rounds: int) -> Rounds:
    """Run all contenders in every round; who begins changes, so that nobody always follows the same one."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            seconds[name].append(_timed(contenders[name]))
    return Rounds(seconds)


def _timed(run: Callable[[], object]) -> float:
    gc.collect()
    begun = perf_counter()
    run()
    return perf_counter() - begun


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that so many percent of all do not exceed."""
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]
