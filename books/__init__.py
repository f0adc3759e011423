"""The hall: every command and every question, for Python programs and for all doors alike.

from mecris.books import Books
from mecris.domain.commands import OpenCycle, RecordSource

with Books.open("books.db") as books:
    cycle = books.handle(OpenCycle(start_date="2025-09-01", end_date="2025-09-30", target_usd="30"))
    books.handle(RecordSource(cycle_id=cycle["cycle_id"], source="meter", type="realtime", amount="0.42"))
    print(books.status(cycle["cycle_id"])["tie_out"]["remaining_usd"])
"""

from .books import Books

__all__ = ["Books"]
