"""The tables of the log on PostgreSQL, who may do what with them, and the way from one version to the next.

Two schemas: the log, which is only ever appended to, and the read models, which can be thrown away. The tables are those of
`store.schema`, said in PostgreSQL's words.
"""

from collections.abc import Callable, Iterator

from ...domain.errors import Damaged, NewerBooks, NotBooks, Unavailable
from .. import schema as sqlite
from .address import Address
from .session import Session

FORMAT = 1
"""The version of these tables; files have one of their own."""
APPENDED = ("stored_events", "event_chain", "evidence", "idempotency_keys")
"""What is written once: rows are added, never changed or taken away."""
KEPT = ("stored_snapshots", "token_uses", "jobs")
"""What changes as the books are used."""

UPGRADES: dict[int, Callable[[Session], None]] = {}
"""From each older version, what makes it the next one; runs in one transaction with the new version number."""

_REFUSE = """
CREATE OR REPLACE FUNCTION {log}.only_appended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%.% is only appended to: % is refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$"""
_REFUSED = """
CREATE OR REPLACE TRIGGER only_appended BEFORE UPDATE OR DELETE OR TRUNCATE ON {log}.{table}
FOR EACH STATEMENT EXECUTE FUNCTION {log}.only_appended()"""
_AT_ITS_END = """
CREATE OR REPLACE FUNCTION {log}.{table}_grows() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    PERFORM FROM {log}.{table} WHERE position = NEW.position - 1 AND {time};
    IF NOT FOUND AND NEW.position <> 1 THEN
        {otherwise};
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER grows BEFORE INSERT ON {log}.{table} FOR EACH ROW EXECUTE FUNCTION {log}.{table}_grows()"""


_REFUSED_THERE = """RAISE EXCEPTION '%.% grows at its end, position by position: % is refused',
            TG_TABLE_SCHEMA, TG_TABLE_NAME, NEW.position USING ERRCODE = 'data_corrupted'"""
_LEFT_OUT = "RETURN NULL"
"""Of a write that came too late the first event conflicts with one that is there, and those after it have none before them."""


def _guards(log: str) -> Iterator[str]:
    """What makes the triggers that refuse what nobody may do, the owner neither; one that is there is replaced."""
    yield _REFUSE.format(log=log)
    for table in APPENDED:
        yield _REFUSED.format(log=log, table=table)
    yield _AT_ITS_END.format(log=log, table="stored_events", time="true", otherwise=_LEFT_OUT)
    yield _AT_ITS_END.format(
        log=log, table="event_chain", time="recorded_at <= NEW.recorded_at", otherwise=_REFUSED_THERE
    )


_TABLES = (
    "SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname = ? AND relkind = 'r'"
)
"""Asked of the tables themselves: the server's functions for names may remember that there was none, while we waited."""


_TAKEN = """
SELECT nspname FROM pg_namespace n WHERE nspname IN (?, ?) AND (
    NOT pg_has_role(nspowner, 'USAGE') OR has_schema_privilege('public', n.oid, 'CREATE') OR EXISTS (
        SELECT FROM pg_depend WHERE refclassid = 'pg_namespace'::regclass AND refobjid = n.oid AND deptype = 'n'))"""
"""Schemas that belong to others, that hold something, or that everybody may put something into."""
_OWNER = """
SELECT quote_ident(pg_get_userbyid(nspowner)), pg_get_userbyid(nspowner) = current_user FROM pg_namespace WHERE nspname = ?"""
_KEEPER = """
SELECT quote_ident(pg_get_userbyid(nspowner)) FROM pg_namespace, pg_class log
WHERE log.oid = ?::regclass AND nspname = ? AND nspowner <> relowner"""
_KEEPERS = """
SELECT DISTINCT quote_ident(pg_get_userbyid(a.grantee)) FROM pg_class log, aclexplode(log.relacl) a
WHERE log.oid = ?::regclass AND a.privilege_type = 'INSERT' AND a.grantee NOT IN (0, log.relowner) ORDER BY 1"""
_RULER = "SELECT quote_ident(pg_get_userbyid(relowner)) FROM pg_class WHERE oid = ?::regclass"
HAS_VIEWS = "SELECT count(*) FROM pg_namespace WHERE nspname = '{views}'"
_MAY_CREATE = "SELECT has_database_privilege(current_database(), 'CREATE')"
_MAY_UPGRADE = "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = ?::regclass"
READ_MODELS = "^(view_positions|(access|budget|cost|import|odometer)_[a-z_]+)$"
_MINE = """
SELECT c.relname, CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ? AND c.relname ~ ? AND c.relkind IN ('r', 'v') AND pg_has_role(c.relowner, 'USAGE')"""


def version_of(session: Session, address: Address) -> int:
    """The version of the books in a schema; 0 if there are none. Refuses what is not ours, or too new."""
    tables = {name for (name,) in session.execute(_TABLES, (address.schema,))}
    if "books" not in tables:
        if tables:
            raise _not_ours(address.schema, address)
        return 0
    found = session.execute(f"SELECT format FROM {address.log}.books").fetchone()
    return require_known(found and found[0], address)


def require_known(version: int | None, address: Address) -> int:
    """The version of books, if this Mecris can use them."""
    if version is None or version < 1:
        raise Damaged(f"{address.shown} has no version: it is not what Mecris wrote, restore it from a backup")
    if version > FORMAT:
        raise NewerBooks(
            f"{address.shown} was written by a newer Mecris (format {version}, this one reads up to {FORMAT}): "
            "upgrade mecris"
        )
    return version


def _not_ours(name: str, address: Address) -> NotBooks:
    return NotBooks(f"the schema {name} of {address.shown} is not of Mecris: name another with ?schema=NAME")


def create(session: Session, address: Address) -> None:
    """Make the books in two empty schemas; the caller's transaction, and its lock, make it once and whole."""
    for name in (address.log, address.views):
        session.execute(f"CREATE SCHEMA IF NOT EXISTS {name}")
    for (name,) in session.execute(_TAKEN, (address.schema, address.views)):  # also what came just before ours
        raise _not_ours(name, address)
    for statement in (*sqlite.LOG, *sqlite.DESK, *sqlite.EVIDENCE):
        _make(session, statement)
    _guard(session, address)
    session.execute(f"CREATE TABLE {address.log}.books (format INTEGER NOT NULL)")
    session.execute(f"INSERT INTO {address.log}.books VALUES (?)", (FORMAT,))


def _make(session: Session, statement: str) -> None:
    session.execute(statement.replace("CREATE TABLE view_", "CREATE TABLE main.view_"))


def may_create(session: Session) -> bool:
    """May this role make a schema?"""
    return bool(session.execute(_MAY_CREATE).fetchone()[0])


def gone(address: Address) -> Unavailable:
    """The error to raise for books whose log is there, and the schema of their read models is not."""
    return Unavailable(
        f"the read models of {address.shown} are gone, and can be made again from its log: let the owner run "
        "`mecris books setup`"
    )


def remake(session: Session, address: Address, keeper: str | None = None) -> bool:
    """Make the schema of the read models again if it is gone, empty: the next question fills it. Was it gone?"""
    if session.execute(HAS_VIEWS.format(views=address.views)).fetchone()[0]:
        return False
    if not may_create(session):
        raise gone(address)
    session.execute(f"CREATE SCHEMA {address.views} AUTHORIZATION {keeper or _keeper(session, address)}")
    for statement in sqlite.LOG:
        if "CREATE TABLE view_" in statement:
            _make(session, statement)
    return True


def _keeper(session: Session, address: Address) -> str:
    """Whose the read models are, by who may append to the log: the role that was let in, or the owner if there is none."""
    log = (f"{address.log}.stored_events",)
    keepers = [name for (name,) in session.execute(_KEEPERS, log)]
    if len(keepers) > 1:
        raise Unavailable(
            f"{address.shown} is kept by {' and '.join(keepers)}: say whose the read models are with "
            "`mecris books setup --grant ROLE`"
        )
    return str(keepers[0] if keepers else session.execute(_RULER, log).fetchone()[0])


def _guard(session: Session, address: Address) -> None:
    for statement in _guards(address.log):
        session.raw.execute(statement)


def upgrade(session: Session, address: Address) -> None:
    """Bring older books up to date, for whoever keeps them too; the caller's transaction makes it all or nothing."""
    (may,) = session.execute(_MAY_UPGRADE, (f"{address.log}.books",)).fetchone()
    if not may:
        raise Unavailable(f"{address.shown} is older than this Mecris: let the owner run `mecris books setup`")
    for version in range(version_of(session, address), FORMAT):
        UPGRADES[version](session)
        session.execute("DELETE FROM stored_snapshots")
    session.execute(f"UPDATE {address.log}.books SET format = ?", (FORMAT,))
    _guard(session, address)
    (keeper,) = session.execute(_KEEPER, (f"{address.log}.books", address.views)).fetchone() or (None,)
    if keeper is not None:
        _grant(session, address, keeper)


def grant(session: Session, address: Address, role: str) -> None:
    """Let a role keep these books: append to the log, and own the read models. It can change or delete no event."""
    known = session.execute("SELECT quote_ident(rolname) FROM pg_roles WHERE rolname = ?", (role,)).fetchone()
    if known is None:
        raise Unavailable(f"there is no role '{role}' on this server: make it with CREATE ROLE")
    remake(session, address, known[0])
    _guard(session, address)
    _grant(session, address, known[0])
    _hand_over(session, address, known[0])


def _grant(session: Session, address: Address, role: str) -> None:
    for statement in _grants(address, role):
        session.execute(statement)


def _grants(address: Address, role: str) -> Iterator[str]:
    schema = address.log
    yield f"GRANT USAGE ON SCHEMA {schema} TO {role}"
    yield f"GRANT SELECT ON {schema}.books TO {role}"
    for table in APPENDED:
        yield f"REVOKE ALL ON {schema}.{table} FROM {role}"
        yield f"GRANT SELECT, INSERT ON {schema}.{table} TO {role}"
    for table in KEPT:
        yield f"GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.{table} TO {role}"


def adopt(session: Session, address: Address) -> None:
    """Give the read models that a transaction made to the owner of their schema: they are remade by whoever serves the books."""
    session.execute(f"SET LOCAL search_path = {address.log}")
    to, is_mine = session.execute(_OWNER, (address.views,)).fetchone()
    if is_mine:
        return
    for name, what in session.made.items():
        session.execute(f"ALTER {what} IF EXISTS {address.views}.{name} OWNER TO {to}")


def _hand_over(session: Session, address: Address, role: str) -> None:
    """Give the read models to a role, and nothing else that may lie in their schema."""
    session.execute(f"ALTER SCHEMA {address.views} OWNER TO {role}")
    mine = session.execute(_MINE, (address.views, READ_MODELS)).fetchall()
    for name, what in mine:
        session.execute(f"ALTER {what} {address.views}.{name} OWNER TO {role}")
