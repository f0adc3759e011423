"""How times, days, names and reasons are written, for those who read the description; what makes sense the hall decides."""

from typing import Annotated

from pydantic import Field, WithJsonSchema

_DAY = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_HOUR = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?"
_WHEN = rf"{_DAY}(T{_HOUR}(Z|[+-](0[0-9]|1[0-2]):[0-5][0-9])?)?"


def _like(pattern: str, example: str, most: int = 40) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "maxLength": most, "examples": [example]})


Day = Annotated[str, Field(max_length=40), _like(rf"^{_DAY}$", "2025-09-30")]
When = Annotated[str, Field(max_length=40), _like(rf"^{_WHEN}$", "2025-09-10T09:05:00Z")]
Moment = Annotated[str, _like(rf"^([1-9][0-9]{{0,17}}|{_WHEN})$", "2025-09-10")]
"""A position, a date, or a date-time."""
Month = Annotated[str, Field(max_length=10), _like(r"^[0-9]{4}-(0[1-9]|1[0-2])$", "2025-08", 10)]
Name = Annotated[str, Field(min_length=1, max_length=200), _like(r"\S", "console", 200)]
Reason = Annotated[str, Field(min_length=1, max_length=2000), _like(r"\S", "another workspace", 2000)]
