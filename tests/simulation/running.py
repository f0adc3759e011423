"""Running seeds: what fails, at which step, and with how few steps it still does."""

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from traceback import extract_tb
from typing import NamedTuple

from .truth import Broken
from .world import World

STEPS = 50


class Failure(NamedTuple):
    """A seed that breaks a law."""

    seed: int
    store: str
    step: int
    why: str
    trace: list[str]
    steps: list[int]
    """The steps that are enough for it."""

    def __str__(self) -> str:
        again = f"make simulate SEED={self.seed} STORE={self.store}"
        few = (
            f"\n  enough are the steps {','.join(map(str, self.steps))}: {again} ONLY={','.join(map(str, self.steps))}"
        )
        shown = "".join(f"\n    {line[:300]}" for line in self.trace[-30:])
        why = self.why if len(self.why) < 1500 else f"{self.why[:1500]} ..."
        return f"seed {self.seed} fails at step {self.step} ({self.store}): {why}\n  again with: {again}{few}{shown}"


def run(seed: int, store: str, steps: Sequence[int]) -> Failure | None:
    """Let the steps of a seed happen; how it fails, if it does."""
    world, step = World(seed, store), -1
    try:
        for step in steps:
            world.step(step)
        step = len(steps) and steps[-1] + 1
        world.finish()
    except Exception as error:  # noqa: BLE001  # whatever the books do wrong is a failure of this seed
        why = str(error) if isinstance(error, Broken) else _unforeseen(error)
        return Failure(seed, store, step, why, world.trace, list(steps))
    finally:
        with suppress(Exception):
            world.close()
    return None


def _unforeseen(error: Exception) -> str:
    """What was raised, and where from."""
    where = extract_tb(error.__traceback__)[-4:]
    return f"{type(error).__name__}: {error}, from {' < '.join(f'{w.name} ({w.lineno})' for w in reversed(where))}"


def shrunk(failure: Failure, tries: int = 150) -> Failure:
    """The same failure with fewer steps: every step draws from a chance of its own, so that others can be left out."""
    law = failure.why.partition(":")[0]
    best, size = failure._replace(steps=[s for s in failure.steps if s <= failure.step]), len(failure.steps)
    while size := size // 2:
        start = 0
        while start < len(best.steps) and tries:
            tries -= 1
            found = run(failure.seed, failure.store, best.steps[:start] + best.steps[start + size :])
            if found and found.why.partition(":")[0] == law:
                best = found
            else:
                start += size
    return best


def first_failure(seeds: Iterable[int], stores: Collection[str], steps: int = STEPS) -> Failure | None:
    """The first seed that fails, if one does; seeds take the stores in turn."""
    names = list(stores)
    for seed in seeds:
        failure = run(seed, names[seed % len(names)], range(steps))
        if failure:
            return failure
    return None
