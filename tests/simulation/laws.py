"""The laws of the books: what holds after every step, whatever happened. Dear ones are held now and then, and in the end."""

import tempfile
from pathlib import Path
from random import Random
from typing import Any

from oracle import expected, figures
from story import lasting

from mecris.books import Books
from mecris.books.answers import to_json

from .stores import Store
from .truth import Cycle, Truth, require

PARTS = ("tracked", "plugged", "unexplained", "remaining")
SUMS = ("tracked", "plugged", "unexplained", "spent")
CLOCK_ALONE = ("state", "age_days", "reminders", "days_until_reset", "resets_on", "month", "month_ends", "amount_usd")


class Laws:
    """Holds the books against the truth, and against what they said before."""

    def __init__(self, truth: Truth, store: Store) -> None:
        self.truth, self.store = truth, store
        self.known: dict[tuple[int, int], str] = {}
        """What was answered of a cycle as of a position."""
        self.everything: dict[int, str] = {}
        self.heads: list[str] = []
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)

    def hold(self, chance: Random, programs: list[Books], *, dear: bool) -> None:
        """Hold what is cheap after each step, through any of the programs, and what is dear now and then."""
        books = chance.choice(programs)
        self.nothing_else_was_written()
        self.the_chain_holds(chance, books)
        self.keys_are_kept()
        if self.truth.cycles:
            self.figures_are_right(books, chance.choice(list(self.truth.cycles)))
            self.what_was_known_is_still_told(chance, books)
        self.runs_are_sums(books)
        if dear:
            self.read_models_are_what_the_log_says(books)
            self.everybody_says_the_same(programs)
            self.everything_known_is_still_told(chance, books)

    def hold_of_everything(self) -> None:
        """In the end: every order is there exactly once or nowhere, seen from the log alone."""
        found: dict[str, list[int]] = {}
        for row in self.store.rows(0):
            found.setdefault(row.by, []).append(row.position)
        told: dict[str, list[int]] = {}
        for name, (first, last) in self.truth.groups.items():
            told.setdefault(name.partition(".")[0], []).extend(range(first, last + 1))
        require(found == told, "the log holds other orders than were acknowledged", found, told)

    def close(self) -> None:
        """Nothing is asked any more."""
        self._folder.cleanup()

    # -- cheap ------------------------------------------------------------------------------------------------------

    def nothing_else_was_written(self) -> None:
        """Every event comes from an order that was given."""
        require(not self.store.rows(self.truth.position), "events that nobody gave an order for")

    def the_chain_holds(self, chance: Random, books: Books) -> None:
        """Nothing that was written has changed: the chain holds, and a head that was kept is in it."""
        verdict = books.verify(chance.choice(self.heads) if self.heads else None)
        require(not verdict.faults, "the chain does not hold", verdict.faults)
        require(verdict.events == self.truth.position, "events are missing", verdict.events, self.truth.position)
        if verdict.events:
            self.heads.append(verdict.head)

    def keys_are_kept(self) -> None:
        """Every key that was answered is kept, and no other, unless the answer was lost."""
        kept = self.store.keys()
        sure = {key for key, used in self.truth.keys.items() if used.sure}
        require(sure <= kept, "an idempotency key is forgotten", sure - kept)
        require(kept <= set(self.truth.keys), "an idempotency key is kept although nothing was done", kept)

    def figures_are_right(self, books: Books, number: int) -> None:
        """The parts add up, and every figure is what the oracle works out."""
        status, pairs = books.status(number), books.discrepancies(number)
        self.hold_of_an_answer(number, status)
        require(
            status["position"] == self.truth.position, "an answer does not know of the last write", status["position"]
        )
        self.as_the_oracle_says(self.truth.cycles[number], status, pairs, self.truth.position)

    def hold_of_an_answer(self, number: int, status: dict[str, Any]) -> None:
        """What holds of an answer whenever it is given: it is of the end of a write, it adds up, it never changes."""
        position = status["position"]
        require(position in self.truth.ends_at, "an answer of the middle of a write", position)
        tied = status["tie_out"]
        total = sum(tied[f"{part}_usd"] for part in PARTS)
        require(total == status["cycle"]["budget_usd"], "the parts do not add up to the budget", number, tied)
        for name in SUMS:
            of_all = sum(p[f"{name}_usd"] for p in status["providers"])
            require(of_all == tied[f"{name}_usd"], "the providers do not add up", name, of_all)
        require(tied["tracked_usd"] + tied["plugged_usd"] + tied["unexplained_usd"] == tied["spent_usd"], "spent", tied)
        self._as_before((number, position), self.known, to_json(lasting(status)))

    def as_the_oracle_says(self, cycle: Cycle, status: dict[str, Any], pairs: dict[str, Any], position: int) -> None:
        """Every figure, every grade and every pair; for a cycle that counters speak of, only whether it is closed."""
        if position == self.truth.position:
            closed = status["cycle"]["state"] == "closed"
            require(closed == cycle.is_closed, "a cycle is closed, or is not", cycle.number)
        if not cycle.followed:
            return
        index = self.truth.ends_at[position][cycle.number]
        page = cycle.oracle.page(index).status()
        told = figures(status, pairs, {name: p.has_both for name, p in page.providers.items()})
        wanted = expected(page)
        wrong = {name: (told[name], wanted[name]) for name in wanted if told[name] != wanted[name]}
        require(not wrong, "the oracle works out something else", f"cycle {cycle.number} as of {position}", wrong)
        require(status["stale"] == cycle.oracle.stale(index), "stale, or not", cycle.number)

    def what_was_known_is_still_told(self, chance: Random, books: Books) -> None:
        """As of an earlier position, and of one inside a write, the books answer as they did then, and as the oracle does."""
        asked = chance.randint(0, self.truth.position)
        position = self.truth.lasts[asked]
        known = self.truth.ends_at.get(position)  # none between the writes of one import
        if asked and known:
            number = chance.choice(list(known))
            status = books.status(number, as_of=asked)
            self.hold_of_an_answer(number, status)
            pairs = books.discrepancies(number, as_of=position)
            self.as_the_oracle_says(self.truth.cycles[number], status, pairs, position)

    def runs_are_sums(self, books: Books) -> None:
        """What a run reported is the sum of its dispatches."""
        for run, dispatches in self.truth.dispatches.items():
            told = books.run(run)
            require(told["reported_in"] == sum(d[0] for d in dispatches.values()), "tokens of a run", run, told)
            require(told["running"] == sorted(id for id, d in dispatches.items() if d[2]), "running dispatches", told)

    # -- dear -------------------------------------------------------------------------------------------------------

    def read_models_are_what_the_log_says(self, books: Books) -> None:
        """Rebuilding beside the live read models finds no difference."""
        differences, seen = self.store.replayed(books)
        require(differences == 0 and not seen, "the read models are not what the log says", differences, seen)

    def everybody_says_the_same(self, programs: list[Books]) -> None:
        """Whatever a program remembers, it answers as the others do; counters and files come to what was said."""
        for number in self.truth.cycles:
            for books in programs:
                self.figures_are_right(books, number)
        for number, usd in self.truth.told.items():
            said = [s["amount_usd"] for s in programs[0].sources(number) if s["name"] == "gateway"]
            require(said == [usd], "lines of files come to something else", said, usd)
        for odometer in programs[0].odometers()["odometers"]:
            for month in odometer["months"]:
                shown = self.truth.shown.get((odometer["provider"], month["month"]), {None})
                require(month["amount_usd"] in {None, *shown}, "a counter shows what nobody read", odometer)

    def everything_known_is_still_told(self, chance: Random, books: Books) -> None:
        """All answers together, now and as of an earlier position."""
        if self.truth.position:
            self._as_before(self.truth.position, self.everything, self._everything(books, self.truth.position))
            position = chance.choice(list(self.everything))
            self._as_before(position, self.everything, self._everything(books, position))

    def _as_before(self, what: Any, known: dict[Any, str], told: str) -> None:
        require(known.setdefault(what, told) == told, "what was known is told otherwise", what, known[what], told)

    def _everything(self, books: Books, position: int) -> str:
        numbers = self.truth.ends_at[position]
        answers: list[Any] = []
        for number in numbers:
            asked = (books.adjustments, books.plugs, books.alerts, books.sources)
            answers += [question(number, as_of=position) for question in asked]
            answers.append(books.sources(number, history=True, as_of=position))
        for run in books.runs(as_of=position):
            answers.append(books.run(run["run_id"], as_of=position) | {"as_of": None})
            answers.append(books.reconciliations(run["run_id"], as_of=position))
        for odometer in books.odometers(as_of=position)["odometers"]:
            shown = [m for m in odometer["months"] if m["amount_usd"] is not None]
            months = [{k: v for k, v in m.items() if k != "state"} for m in shown]
            kept = {k: v for k, v in odometer.items() if k not in CLOCK_ALONE and not k.endswith("average_usd")}
            answers.append(kept | {"months": months, "projected_usd": None})
        return to_json(answers)
