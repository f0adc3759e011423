"""Ids: small integers outside, names in the log inside; both follow from what events carry."""

SOURCES = 999
"""Sources a cycle may name: every pair of them is compared, and `source_id` leaves room for three digits."""


def cycle_key(number: int) -> str:
    """The name of a cycle in the log; ordered as text like the numbers are."""
    return f"cycle-{number:08d}"


def cycle_of(key: str) -> int:
    """The number of a cycle from its name in the log."""
    return int(key[6:])


def run_key(run_id: str) -> str:
    """The name of a run in the log."""
    return f"run-{run_id}"


def odometer_key(provider: str) -> str:
    """The name of an odometer in the log."""
    return f"odometer-{provider}"


def alerts_key(cycle: int) -> str:
    """The name of a cycle's alerts in the log."""
    return f"alerts-{cycle:08d}"


ACCESS = "access"
"""The name of all tokens together in the log."""


def cycle_in(key: str) -> int | None:
    """The cycle that something in the log is about, if it is about one."""
    kind, _, number = key.partition("-")
    return int(number) if kind in ("cycle", "alerts") else None


def source_id(cycle: int, source: int) -> int:
    """The id of a source everywhere outside: source 12 of cycle 3 is 3012."""
    return cycle * (SOURCES + 1) + source


def source_of(id: int) -> int:
    """The number of a source in its cycle."""
    return id % (SOURCES + 1)


def cycle_of_source(id: int) -> int:
    """The cycle a source belongs to."""
    return id // (SOURCES + 1)
