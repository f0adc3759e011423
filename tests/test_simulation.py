"""The simulation: a few hundred seeds hold every law, the same seed is the same story, and broken rules are found."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from simulation.mutants import broken
from simulation.running import run, shrunk
from simulation.stores import STORES
from simulation.world import World

pytestmark = pytest.mark.own_store  # it has stores of its own

CHUNKS, SEEDS, STEPS = 10, 10, 16
FOUND = {  # a seed at which each broken rule is found; `make simulate BROKEN=...` finds others
    "a stale decision is written": (4, "memory"),
    "a write that failed half-way is kept": (1, "sqlite"),
    "a key is not kept": (0, "memory"),
    "the same key with another content is answered": (1, "sqlite"),
    "recorded_at goes back with the clock": (0, "memory"),
    "a failed write is remembered": (11, "sqlite"),
    "a first attempt that failed is remembered": (0, "memory"),
    "a rehearsal is remembered": (11, "sqlite"),
    "a plug that was reversed still counts when deciding": (4, "memory"),
    "a plug that was reversed still counts when asked": (4, "memory"),
    "catching up leaves an event out": (0, "memory"),
    "how far a read model has seen is not what it has seen": (0, "memory"),
    "a retraction brings back another reading": (5, "sqlite"),
    "the middle of a write can be asked": (1, "sqlite"),
    "positions have a gap": (0, "memory"),
    "a key is kept before its order is done": (135, "sqlite"),
}


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_every_law_holds_at_every_step_of_these_seeds(chunk: int, store: str) -> None:
    for seed in range(chunk * SEEDS, (chunk + 1) * SEEDS):
        failure = run(seed, store, range(STEPS))
        assert failure is None, str(failure)


@pytest.mark.parametrize("rule", FOUND)
def test_a_rule_that_is_broken_is_found(rule: str) -> None:
    seed, store = FOUND[rule]
    with broken(rule):
        assert run(seed, store, range(50)) is not None
    assert run(seed, store, range(10)) is None


def story(seed: int, store: str) -> list[str]:
    """What happens in a seed, and the head of the log in the end."""
    world = World(seed, store)
    try:
        for step in range(30):
            world.step(step)
        world.finish()
        return [line.replace(str(getattr(world.store, "folder", "")), "") for line in world.trace] + world.laws.heads[
            -1:
        ]
    finally:
        world.close()


def test_a_seed_tells_the_same_story_in_every_process() -> None:
    program = "from test_simulation import story; print(story(3, 'sqlite'))"
    told = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=Path(__file__).parent,
            env=os.environ | {"PYTHONHASHSEED": hashes},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hashes in ("1", "2")
    }
    assert len(told) == 1
    assert "RecordSource" in told.pop()


def test_a_failure_says_how_to_see_it_again_and_which_steps_are_enough() -> None:
    with broken("catching up leaves an event out"):
        failure = run(0, "memory", range(30))
        assert failure is not None
        few = shrunk(failure)
        assert len(few.steps) < failure.step
        assert run(0, "memory", few.steps) is not None
    assert f"again with: make simulate SEED=0 STORE=memory\n  enough are the steps {few.steps[0]}" in str(few)
    assert str(failure).startswith(f"seed 0 fails at step {failure.step} (memory): an answer")


@pytest.mark.parametrize(("rule", "code"), [([], 0), (["--broken", "a key is not kept"], 1)])
def test_many_seeds_are_run_by_the_command_with_a_rule_broken_or_not(rule: list[str], code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "simulation", "--seeds", "2", "--steps", "10", *rule],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
    )
    said = "an idempotency key is forgotten" if rule else "2 seeds of 10 steps hold every law"
    assert (done.returncode, said in done.stdout) == (code, True), done.stderr
