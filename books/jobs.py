"""Jobs: work that is asked for now and done in the background. They lie in the books' file, so that a restart loses none.

A job is taken by whoever serves the books; one whose taker died is taken again after its lease. A reconciliation records
nothing that was on record already, so doing it twice records it once.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from ..domain.commands import Reconcile
from ..domain.errors import Busy, MecrisError, NotFound, Unavailable
from ..domain.period import as_text, from_text, time_text
from .answers import Answer, from_json, to_json
from .keys import fingerprint_of, keep, kept

if TYPE_CHECKING:
    from .books import Books

LEASE = timedelta(seconds=30)
"""For so long a job is left to whoever took it."""
QUEUED, RUNNING, DONE, FAILED = "queued", "running", "done", "failed"
_COLUMNS = "id, kind, cycle_id, status, requested_at, requested_by, started_at, finished_at, outcome"


class Jobs:
    """The jobs of some books."""

    def __init__(self, books: "Books", clock: Callable[[], datetime], via: str) -> None:
        self.books, self.clock, self.via = books, clock, via

    def reconcile(self, cycle_id: int, *, by: str, idempotency_key: str | None = None) -> Answer:
        """Ask for a reconciliation; answers with the job, durably queued."""
        self.books.status(cycle_id)  # refuses a cycle that is not there
        fingerprint = fingerprint_of("reconcile later", cycle_id)
        with self.books.file.pen() as connection:
            first = kept(connection, idempotency_key, fingerprint)
            if first is not None:
                return first
            now = as_text(self.clock())
            (made,) = connection.execute(
                "INSERT INTO jobs (id, kind, cycle_id, status, requested_at, requested_by, via) "
                "SELECT coalesce(max(id), 0) + 1, 'reconcile', ?, ?, ?, ?, ? FROM jobs "
                "RETURNING id",
                (cycle_id, QUEUED, now, by, self.via),
            ).fetchone()
            answer = Answer(status=QUEUED, job_id=made, cycle_id=cycle_id, requested_at=time_text(from_text(now)))
            keep(connection, idempotency_key, fingerprint, answer)
        return answer

    def get(self, job_id: int) -> Answer:
        """A job, and what came of it."""
        with self.books.file.reading() as connection:
            row = connection.execute(f"SELECT {_COLUMNS} FROM jobs WHERE id = ?", (job_id,)).fetchone()
        if row is None:
            raise NotFound(f"there is no job {job_id}: the answer to what was asked for names it", code="job-not-found")
        id, kind, cycle_id, status, requested_at, by, started_at, finished_at, outcome = row
        return Answer(
            job_id=id,
            kind=kind,
            cycle_id=cycle_id,
            status=status,
            requested_at=time_text(from_text(requested_at)),
            requested_by=by,
            started_at=started_at and time_text(from_text(started_at)),
            finished_at=finished_at and time_text(from_text(finished_at)),
            outcome=None if outcome is None else from_json(outcome),
        )

    def work(self) -> bool:
        """Do the next job that waits; False if there is none."""
        taken = self._take()
        if taken is None:
            return False
        id, cycle_id, by = taken
        try:
            outcome: dict[str, Any] = self.books.handle(Reconcile(cycle_id=cycle_id), recorded_by=by)
            status = DONE
        except (Busy, Unavailable):
            self._put_back(id)
            raise
        except MecrisError as error:
            outcome, status = {"code": error.code, "detail": error.message}, FAILED
        with self.books.file.pen() as connection:
            connection.execute(
                "UPDATE jobs SET status = ?, finished_at = ?, outcome = ? WHERE id = ?",
                (status, as_text(self.clock()), to_json(outcome), id),
            )
        return True

    def _put_back(self, id: int) -> None:
        """Leave a job to the next look: what stood in its way passes."""
        with suppress(MecrisError), self.books.file.pen() as connection:
            connection.execute("UPDATE jobs SET status = ?, started_at = NULL WHERE id = ?", (QUEUED, id))

    def _take(self) -> tuple[int, int, str] | None:
        now = self.clock()
        with self.books.file.reading() as connection:
            if connection.execute("SELECT 1 FROM jobs WHERE finished_at IS NULL LIMIT 1").fetchone() is None:
                return None
        with self.books.file.pen() as connection:
            found: tuple[int, int, str] | None = connection.execute(
                "UPDATE jobs SET status = ?, started_at = ? WHERE id = (SELECT id FROM jobs WHERE finished_at IS NULL "
                "AND (started_at IS NULL OR started_at < ? OR started_at > ?) ORDER BY id LIMIT 1) "
                "RETURNING id, cycle_id, requested_by",
                (RUNNING, as_text(now), as_text(now - LEASE), as_text(now + LEASE)),
            ).fetchone()
        return found
