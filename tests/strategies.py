"""Stories nobody thought of: random orders in words, and a small world in which they become commands."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from mecris.domain import commands as c

MICROSECOND, MINUTE, HOUR, DAY = (timedelta(microseconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(1))
FIRST, LAST = date(2025, 9, 1), date(2025, 9, 4)

KINDS = {
    "meter": ("realtime", "", True),
    "log": ("realtime", "", True),
    "probe": ("realtime", "", False),
    "console": ("manual", "", True),
    "bill": ("manual", "", True),
    "invoice": ("manual", "", False),
    "a meter": ("realtime", "a", True),
    "a key": ("realtime", "a", True),
    "a console": ("manual", "a", True),
    "b meter": ("realtime", "b", True),
    "b console": ("manual", "b", True),
}
"""The sources of these stories: type, provider, counted."""
CASTS: Sequence[tuple[str, ...]] = (
    ("meter", "console"),
    ("meter", "log", "console"),
    ("meter", "log", "probe", "console", "bill", "invoice"),
    ("meter", "console", "a meter", "a key", "a console"),
    tuple(KINDS),
)


class Time(NamedTuple):
    """A moment in words: so long after now, an edge of the cycle, or what was said before (`seen-3`)."""

    anchor: str
    offset: timedelta = timedelta(0)


class Read(NamedTuple):
    """A source says something; `says` is what it tells of itself: its kind, nothing, or something else."""

    name: str
    says: str
    figure: Decimal
    how: str
    of: Decimal
    at: Time | None
    payload: str | None
    reconcile: bool


class Adjust(NamedTuple):
    """The budget changes."""

    amount: Decimal
    at: Time | None
    provider: str


class Plug(NamedTuple):
    """A plug; no amount means squaring."""

    amount: Decimal | None
    provider: str | None
    yes: bool


class Unplug(NamedTuple):
    """A plug is undone: the nth, counted round."""

    nth: int


class Retract(NamedTuple):
    """A reading is taken back: the nth, counted round."""

    nth: int


class Bounds(NamedTuple):
    """Other thresholds."""

    bounds: tuple[Decimal, Decimal, Decimal]


class Look(NamedTuple):
    """A person reconciles."""


Told = Read | Adjust | Plug | Unplug | Retract | Bounds | Look

OFFSETS = [
    timedelta(0),
    -MICROSECOND,
    MICROSECOND,
    -MINUTE,
    -5 * MINUTE,
    -5 * MINUTE - MICROSECOND,
    5 * MINUTE,
    5 * MINUTE + MICROSECOND,
    -HOUR,
    HOUR,
    -DAY,
    -DAY - MICROSECOND,
    DAY,
]
amounts = st.one_of(
    st.sampled_from(
        [Decimal(a) for a in ("0", "1E-12", "0.04", "0.11", "1", "4.75", "5", "5.42", "9.5", "10", "19.54")]
    ),
    st.decimals(0, 30, places=2),
    st.decimals(0, 30, places=12),
)
signed = st.builds(lambda a, negative: -a if negative else a, amounts, st.booleans())
times = st.one_of(
    st.builds(Time, st.just("now"), st.sampled_from(OFFSETS)),
    st.builds(Time, st.sampled_from(["begins", "ends"]), st.sampled_from(OFFSETS)),
    st.builds(Time, st.integers(0, 12).map("seen-{}".format), st.sampled_from(OFFSETS)),
)
moves = st.sampled_from(
    [
        HOUR,
        timedelta(0),
        timedelta(seconds=1),
        MINUTE,
        5 * MINUTE,
        5 * MINUTE + MICROSECOND,
        6 * HOUR,
        12 * HOUR,
        DAY,
        -HOUR,
    ]
)


def sound_readings(names: Sequence[str]) -> st.SearchStrategy[Read]:
    """Readings that are seldom refused."""
    past = st.sampled_from([offset for offset in OFFSETS if offset <= timedelta(0)])
    return st.builds(
        Read,
        name=st.sampled_from(names),
        says=st.just("its kind"),
        figure=amounts,
        how=st.just("amount"),
        of=st.just(Decimal(30)),
        at=st.one_of(
            st.none(),
            st.builds(Time, st.just("now"), past),
            st.builds(Time, st.integers(0, 12).map("seen-{}".format), st.just(timedelta(0))),
        ),
        payload=st.none(),
        reconcile=st.just(True),
    )


def readings(names: Sequence[str]) -> st.SearchStrategy[Read]:
    """Readings of some sources, a few of them nonsense."""
    return st.builds(
        Read,
        name=st.sampled_from(names),
        says=st.sampled_from(["its kind"] * 6 + ["nothing", "other type", "other provider", "other counted"]),
        figure=st.one_of(amounts, amounts, amounts, amounts, signed),
        how=st.sampled_from(["amount"] * 5 + ["balance", "balance of", "euro"]),
        of=st.one_of(st.just(Decimal(30)), amounts),
        at=st.one_of(st.none(), times),
        payload=st.sampled_from([None, None, None, "as seen", "as seen twice"]),
        reconcile=st.sampled_from([True, True, True, False]),
    )


def orders(names: Sequence[str]) -> st.SearchStrategy[Told]:
    """Orders of every kind about some sources."""
    providers = sorted({KINDS[name][1] for name in names})
    return st.one_of(
        sound_readings(names),
        sound_readings(names),
        sound_readings(names),
        readings(names),
        readings(names),
        st.builds(Adjust, signed, st.one_of(st.none(), times), st.sampled_from(["", *providers])),
        st.builds(
            Plug,
            st.one_of(st.none(), st.none(), signed),
            st.sampled_from([None, *providers]),
            st.sampled_from([True, True, False]),
        ),
        st.builds(Unplug, st.integers(0, 6)),
        st.builds(Retract, st.integers(0, 30)),
        st.builds(Bounds, st.sampled_from([(1, 5, 10), (0, 1, 100), (2, 2, 3), (10, 50, 90)]).map(_decimals)),
        st.just(Look()),
    )


def _decimals(bounds: tuple[int, ...]) -> tuple[Decimal, ...]:
    return tuple(map(Decimal, bounds))


class Scene(NamedTuple):
    """Where a story begins."""

    names: tuple[str, ...]
    timezone: str
    target: Decimal
    start: Time


scenes = st.builds(
    Scene,
    st.sampled_from(CASTS),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]),
    st.sampled_from([Decimal("24.96"), Decimal(0), Decimal(100)]),
    st.sampled_from(
        [
            Time("begins", 12 * HOUR),
            Time("begins"),
            Time("begins", 2 * DAY),
            Time("ends", -HOUR),
            Time("ends", HOUR),
            Time("begins", -HOUR),
        ]
    ),
)
stories = scenes.flatmap(
    lambda scene: st.tuples(
        st.just(scene),
        st.builds(
            list.__add__,
            st.lists(st.tuples(moves, sound_readings(scene.names)), min_size=3, max_size=6),
            st.lists(st.tuples(moves, orders(scene.names)), min_size=3, max_size=25),
        ),
    )
)


class World:
    """A clock that goes as it is told, and what has been said so far: it makes commands of words."""

    def __init__(self, scene: Scene) -> None:
        zone = ZoneInfo(scene.timezone)
        self.scene, self.target = scene, scene.target
        self.begins = datetime.combine(FIRST, time(), zone).astimezone(UTC)
        midnight = datetime.combine(LAST + timedelta(days=1), time(), zone).astimezone(UTC)
        self.ends = midnight - timedelta(microseconds=1)  # a day ends before the next begins
        self.seen: list[datetime] = []
        self.now = self.begins
        self.now = self.moment(scene.start)
        self.readings = self.plugs = 0

    def __call__(self) -> datetime:
        """What the clock shows."""
        return self.now

    def moment(self, told: Time) -> datetime:
        """The moment that is meant."""
        anchor, _, nth = told.anchor.partition("-")
        if anchor == "seen":
            at = self.seen[int(nth) % len(self.seen)] if self.seen else self.now
        else:
            at = {"now": self.now, "begins": self.begins, "ends": self.ends}[anchor]
        return at + told.offset

    def opening(self) -> c.OpenCycle:
        """The order that begins the story."""
        return c.OpenCycle(start_date=FIRST, end_date=LAST, target_usd=self.scene.target, timezone=self.scene.timezone)

    def command(self, told: Told) -> c.CycleCommand:
        """The command that words mean here and now."""
        match told:
            case Read():
                return self._read(told)
            case Adjust():
                at = None if told.at is None else self.moment(told.at)
                return c.AdjustBudget(cycle_id=1, amount_usd=told.amount, reason="why", at=at, provider=told.provider)
            case Plug():
                return c.ApplyPlug(
                    cycle_id=1,
                    amount_usd=told.amount,
                    square=told.amount is None,
                    provider=told.provider,
                    reason="why",
                    yes=told.yes,
                )
            case Unplug():
                return c.ReversePlug(cycle_id=1, plug=1 + told.nth % (self.plugs + 1), reason="why")
            case Retract():
                return c.RetractReading(cycle_id=1, reading=1 + told.nth % (self.readings + 1), reason="why")
            case Bounds((excellent, good, fair)):
                return c.ChangeThresholds(cycle_id=1, excellent=excellent, good=good, fair=fair)
            case _:
                return c.Reconcile(cycle_id=1)

    def _read(self, told: Read) -> c.RecordSource:
        kind, provider, counted = KINDS[told.name]
        at = None if told.at is None else self.moment(told.at)
        self.seen.append(at or self.now)
        says = {
            "nothing": {},
            "its kind": {"type": kind, "provider": provider, "counted": counted},
            "other type": {"type": "manual" if kind == "realtime" else "realtime", "provider": provider},
            "other provider": {"type": kind, "provider": provider + "z"},
            "other counted": {"type": kind, "provider": provider, "counted": not counted},
        }[told.says]
        figures = {
            "amount": {"amount": told.figure},
            "euro": {"amount": told.figure, "currency": "EUR", "rate": Decimal("1.5")},
            "balance": {"balance": told.figure},
            "balance of": {"balance": told.figure, "credit": told.of},
        }[told.how]
        return c.RecordSource(
            cycle_id=1,
            source=told.name,
            measured_at=at,
            payload=told.payload,
            reconcile=told.reconcile,
            **says,
            **figures,
        )

    def heard(self, answer: dict[str, object]) -> None:
        """Remember what came of an order, so that later ones can speak of it."""
        self.readings = max(self.readings, answer.get("reading") or 0)  # type: ignore[call-overload, type-var]
        self.plugs = max(self.plugs, answer.get("plug") or 0)  # type: ignore[call-overload, type-var]
