"""Run seeds on every core, or one seed again; `make simulate` comes here."""

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from time import perf_counter

from .mutants import BROKEN, broken
from .running import STEPS, Failure, first_failure, run, shrunk
from .stores import STORES

CHUNK = 20


def main() -> int:
    """0 if every law held."""
    said = _arguments()
    return _one(said) if said.seed is not None else _many(said)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3000, help="how many seeds")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--steps", type=int, default=STEPS, help="steps of each seed")
    parser.add_argument("--seed", type=int, help="one seed alone")
    parser.add_argument("--only", help="these steps of it, like 3,5,9")
    parser.add_argument("--store", choices=STORES, help="one store alone")
    parser.add_argument("--broken", choices=BROKEN, help="break a rule first")
    return parser.parse_args()


def _rules(name: str | None) -> AbstractContextManager[None]:
    """The rules as they are, or one of them broken, in the process that runs seeds: a rule that is broken has no source to break."""
    return broken(name) if name else nullcontext()


def _one(said: argparse.Namespace) -> int:
    steps = [int(step) for step in said.only.split(",")] if said.only else range(said.steps)
    with _rules(said.broken):
        for store in [said.store] if said.store else STORES:
            failure = run(said.seed, store, steps)
            if failure:
                print(failure if said.only else shrunk(failure))
                return 1
            print(f"seed {said.seed} holds every law ({store})")
    return 0


def _many(said: argparse.Namespace) -> int:
    begun, end = perf_counter(), said.first + said.seeds
    chunks = [range(start, min(start + CHUNK, end)) for start in range(said.first, end, CHUNK)]
    work = partial(_chunk, [said.store] if said.store else list(STORES), said.steps, said.broken)
    done = 0
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for chunk, failure in zip(chunks, pool.map(work, chunks), strict=True):
            if failure:
                pool.shutdown(wait=False, cancel_futures=True)
                print(failure)
                return 1
            done += len(chunk)
            if done % 500 < CHUNK:
                print(f"{done} seeds, {done / (perf_counter() - begun):.1f} a second", file=sys.stderr)
    print(f"{done} seeds of {said.steps} steps hold every law, {done / (perf_counter() - begun):.1f} a second")
    return 0


def _chunk(stores: list[str], steps: int, name: str | None, seeds: range) -> Failure | None:
    with _rules(name):
        failure = first_failure(seeds, stores, steps)
        return shrunk(failure) if failure else None


if __name__ == "__main__":
    sys.exit(main())
