"""Every difference between the SQL of our two databases, in one place: what is written for SQLite, in PostgreSQL's words."""

import re
from functools import lru_cache

HERE, LIVE = "main", "live"
"""Where read models are made, and where those lie that they are compared with."""

TYPES = (
    (re.compile(r"\bTEXT\b"), 'TEXT COLLATE "C"'),  # text order is the order of its bytes, as times and names expect
    (re.compile(r"\bINTEGER\b"), "BIGINT"),
    (re.compile(r"\bBLOB\b"), "BYTEA"),
    (re.compile(r"\) WITHOUT ROWID$"), ")"),
)
"""In statements that make tables. No number counts by itself: a sequence has gaps after a write that failed."""

TOTAL = """
CREATE VIEW main.budget_total AS
SELECT cycle_id, type, provider, counted, trim_scale(sum(CAST(amount_usd AS NUMERIC)))::TEXT AS amount_usd
FROM budget_source WHERE amount_usd IS NOT NULL GROUP BY cycle_id, type, provider, counted"""
"""What SQLite has to add up digit by digit; PostgreSQL's own decimals are exact."""

PHRASES = (
    (re.compile(r"\s+INDEXED BY \w+"), ""),  # PostgreSQL finds its way by itself
    (re.compile(r"CAST\(state AS TEXT\)"), "convert_from(state, 'UTF8')"),
    (re.compile(r"^DROP TABLE IF EXISTS \S+$"), r"\g<0> CASCADE"),  # a view of it goes with it
)
_PARAMETER = re.compile(r"'[^']*'|\?|(?<![:\w]):(\w+)")


@lru_cache(1024)
def translated(sql: str, here: str, live: str) -> str:
    """A statement in PostgreSQL's words; `here` and `live` are the schemas for `main` and `live`."""
    said = sql.strip()
    if said.startswith("CREATE VIEW main.budget_total"):
        said = TOTAL.strip()
    if said.startswith("CREATE TABLE"):
        for pattern, word in TYPES:
            said = pattern.sub(word, said)
    for pattern, word in PHRASES:
        said = pattern.sub(word, said)
    said = said.replace("%", "%%").replace(f"{HERE}.", f"{here}.").replace(f"{LIVE}.", f"{live}.")
    return _PARAMETER.sub(_marked, said)


def _marked(found: re.Match[str]) -> str:
    if found[0].startswith("'"):
        return found[0]
    return f"%({found[1]})s" if found[1] else "%s"
