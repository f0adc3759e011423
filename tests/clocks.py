"""A clock that tests set."""

from datetime import UTC, datetime, timedelta


class Clock:
    """Shows what it is set to; a second passes with each look, as moments of two orders differ."""

    def __init__(self, now: str) -> None:
        self.now = datetime.fromisoformat(now).astimezone(UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def set(self, now: str) -> None:
        """Set it to a moment; it may be an earlier one."""
        self.now = datetime.fromisoformat(now).astimezone(UTC)

    def move(self, **span: float) -> None:
        """Let time pass."""
        self.now += timedelta(**span)
