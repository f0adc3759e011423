"""OpenRouter: credits (`GET /api/v1/credits`): what was ever bought, and what was ever used of it, in dollars.

It is manual although a program fetched it. It is the provider's own statement of what is left, the figure that a person
reads off the dashboard; activity is the meter. As a second meter it would be added to the first, and compared with nothing.
"""

from collections.abc import Iterator

from ..domain.money import PLACES, exactly, shown, usd
from ..domain.payload import read_payload
from .kinds import MANUAL, Items, Look, Remark, Report, each
from .reading import File, dollars

NAME, VERSION = "openrouter-credits", 1


def recognises(file: File) -> bool:
    """One answer with `total_credits` and `total_usage`."""
    return bool({"total_credits", "total_usage"} <= file.json["data"].keys())


def report(file: File) -> Report:
    """What is left, by the provider itself."""
    return Report("openrouter", "openrouter credits", MANUAL)


def read(file: File) -> Items:
    """A balance: credits less usage. The answer does not say when it was given."""
    yield from each([file], _look)


@exactly
def _looked(file: File) -> Look:
    data = file.json["data"]
    credit = usd(shown(dollars(data["total_credits"], "total_credits"), PLACES))
    usage = usd(shown(dollars(data["total_usage"], "total_usage"), PLACES))
    return Look(amount=None, balance=usd(credit - usage), credit=credit, measured_at=None, payload=file.text)


def _look(file: File) -> Iterator[Look | Remark]:
    look = _looked(file)
    read_payload(look.payload)
    yield look
    yield Remark("credit and usage are of the whole account since it began, not of one cycle; the answer names no time")
