"""One payload in a file: what an API answered or a dashboard showed, as a JSON object with the spend so far.

Claude's has `used_credits` and `cost_usd`, Groq's `project_id` and `spent_usd`, a dashboard entry `display_html` and
`extracted_usd`. The fields are read as those of a payload that is given with an order.
"""

from collections.abc import Iterator
from typing import Any

from ..domain.payload import read_payload
from .kinds import MANUAL, Items, Look, Report, each
from .reading import File

NAME, VERSION = "payload", 1
BY_HAND = frozenset(["display_html", "extracted_usd"])
AMOUNTS = BY_HAND | {"cost_usd", "spent_usd"}
NOT_SO_FAR = frozenset(["cost_usd_micros", "event.name", "input_tokens", "session_id", "cost"])
"""Fields of what is about one call or session: its cost is not what was spent so far."""


def recognises(file: File) -> bool:
    """One object with an amount of a payload."""
    found = file.json
    return isinstance(found, dict) and bool(AMOUNTS & found.keys()) and not NOT_SO_FAR & found.keys()


def report(file: File) -> Report:
    """Whose it is, by its fields; a dashboard entry and an unknown API do not say."""
    found: dict[str, Any] = file.json
    if BY_HAND & found.keys():
        return Report("", "dashboard", MANUAL)
    if "used_credits" in found and "cost_usd" in found:
        return Report("claude", "claude api")
    if "project_id" in found and "spent_usd" in found:
        return Report("groq", "groq api")
    return Report("", "api")


def read(file: File) -> Items:
    """The one amount it names, at the time it names."""
    yield from each([file], _look)


def _look(file: File) -> Iterator[Look]:
    found = read_payload(file.text)
    yield Look(amount=found.amount_alone(), balance=None, credit=None, measured_at=found.taken_at, payload=file.text)
