"""Questions about odometers: what each month showed, how fast it counts, and what is to be done."""

from datetime import datetime
from typing import Any

from ..domain.counter import NO_DATA, listed, pace_of, reminders, state_of
from ..domain.errors import NotFound
from ..domain.money import exactly, shown
from ..domain.month import Month
from ..domain.period import When, days, end_of, time_text
from ..projections import odometers
from .answers import Answer, estimate
from .moments import ALWAYS, Asked, Moment


class Counters(Asked):
    """Answers about odometers from the read models."""

    def moment(self, as_of: When | int | None, measured_by: When | None) -> Moment:
        """The two times of a question about counters; months are those of UTC."""
        known = self.known("any odometer", ALWAYS, as_of)
        return known if measured_by is None else known._replace(measured_by=end_of(measured_by, known.now))

    @exactly
    def status(self, provider: str | None, moment: Moment) -> Answer:
        """Every odometer, or one, month by month."""
        names = odometers.providers(self.connection, moment.position)
        if provider is not None and provider not in names:
            known = ", ".join(f"'{name}'" for name in names) or "none"
            raise NotFound(
                f"there is no odometer of '{provider}' (there are: {known}): "
                f"mecris odometer record --provider {provider} VALUE begins one",
                code="odometer-not-found",
            )
        feeds = odometers.feeds(self.connection, moment.position)
        return Answer(
            odometers=[self._odometer(name, feeds, moment) for name in names if provider in (None, name)],
            position=moment.position,
            as_of=moment.as_of,
            measured_by=None if moment.measured_by is None else time_text(moment.measured_by),
            warnings=list(self.log_warnings(moment)),
        )

    def _odometer(self, provider: str, feeds: list[tuple[str, int]], moment: Moment) -> dict[str, Any]:
        read = odometers.shown(self.connection, provider, moment.position, moment.measured_by)
        now = moment.clock
        this = Month.of(now)
        current = read.get(str(this))
        pace = pace_of(this, current) if current else None
        last = max((min(s.read_at, Month.read(month).ends) for month, s in read.items()), default=None)
        return {
            "provider": provider,
            "month": str(this),
            "month_ends": this.period.last_day.isoformat(),
            "amount_usd": current.amount if current else None,
            "state": state_of(this, current, now),
            "months": [_month(month, read, now) for month in listed(read, now)],
            "last_read_at": None if last is None else time_text(last),
            "age_days": None if last is None else shown(max(days(now - last), days(now - now)), 2),
            "resets_on": this.next.period.first_day.isoformat(),
            "days_until_reset": this.period.days_left(now) + 1,
            "daily_average_usd": estimate(pace.per_day) if pace else None,
            "projected_usd": estimate(pace.at_end) if pace else None,
            "feeds": [cycle for name, cycle in feeds if name == provider],
            "reminders": [
                {"urgency": r.urgency, "month": str(r.month), "message": r.message}
                for r in reminders(provider, read, now)
            ],
        }


def _month(month: Month, read: dict[str, Any], now: datetime) -> dict[str, Any]:
    known = read.get(str(month))
    return {
        "month": str(month),
        "amount_usd": known.amount if known else None,
        "state": state_of(month, known, now) if known else NO_DATA,
        "read_at": time_text(known.read_at) if known else None,
    }
