"""Access tokens: made once and shown once, kept as digests, and looked at whenever somebody comes to a server's door.

A token is `mecris_HANDLE_SECRET`: the handle finds it, the secret (256 random bits) proves it. The books keep the
SHA-256 of the secret: what cannot be guessed needs no slow hash (docs/adr/0015).
"""

import hmac
import re
import secrets
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING, Any

from ..domain.access import Access, Token
from ..domain.commands import CreateToken
from ..domain.errors import Unauthenticated
from ..domain.ids import ACCESS
from ..domain.period import When, as_text, from_text, time_text
from ..projections import access
from ..store.connection import Store
from ..store.mapper import EventMapper
from .answers import Answer
from .moments import Asked, Moment

if TYPE_CHECKING:
    from .books import Books

_TOKEN = re.compile(r"mecris_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
_NOBODY = sha256(secrets.token_bytes()).hexdigest()
HOW = "`mecris token create --name NAME --scope read|write|admin` makes one"


def create(books: "Books", name: str, scope: str, expires: When | None, by: str | None) -> Answer:
    """Make a token; its secret is in the answer and nowhere else."""
    handle, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    order = CreateToken.model_validate(
        {"token_name": name, "scope": scope, "handle": handle, "digest": _digest(secret), "expires": expires}
    )
    made = books.handle(order, recorded_by=by)
    return Answer(
        name=made["name"],
        scope=made["scope"],
        token=f"mecris_{handle}_{secret}",
        expires_at=made["expires_at"],
        position=made["position"],
    )


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


def listed(ask: Asked, moment: Moment) -> list[dict[str, Any]]:
    """Every token as it was known."""
    return [
        {
            "name": t.name,
            "scope": t.scope,
            "state": _state(t, moment.now),
            "created_at": time_text(from_text(t.created_at)),
            "created_by": t.created_by,
            "expires_at": _shown(t.expires_at),
            "revoked_at": _shown(t.revoked_at),
            "last_used_at": _shown(t.last_used_at) if moment.as_of is None else None,
        }
        for t in access.tokens(ask.connection, moment.position)
    ]


def _state(token: access.Listed, now: datetime) -> str:
    if token.revoked_at:
        return "revoked"
    return "expired" if token.expires_at and from_text(token.expires_at) <= now else "valid"


def _shown(moment: str | None) -> str | None:
    return None if moment is None else time_text(from_text(moment))


class Doorkeeper:
    """Knows the tokens as they stand in the log: one that was revoked a moment ago, anywhere, opens nothing."""

    def __init__(self, file: Store, clock: Callable[[], datetime]) -> None:
        self.file, self.clock = file, clock
        self._version = 0
        self._by_handle: dict[str, Token] = {}
        self._uses: dict[str, datetime] = {}
        self._noted: dict[str, datetime] = {}
        self._turn = Lock()

    def admit(self, secret: str) -> Token:
        """The token that is shown, or a refusal."""
        now = self.clock()
        parts = _TOKEN.fullmatch(secret)
        token = self._tokens().get(parts[1]) if parts else None
        proven = hmac.compare_digest(_digest(parts[2] if parts else ""), token.digest if token else _NOBODY)
        if token is None or not proven:
            raise Unauthenticated(f"this token is unknown: {HOW}", code="token-unknown")
        if token.revoked:
            raise Unauthenticated(f"the token '{token.name}' was revoked: {HOW}", code="token-revoked")
        if token.expires_at is not None and token.has_expired(now):
            raise Unauthenticated(
                f"the token '{token.name}' expired at {time_text(token.expires_at)}: {HOW}", code="token-expired"
            )
        self._uses[token.name] = now
        return token

    def still_admits(self, token: Token) -> bool:
        """Was a token that was let in neither revoked since, nor has it expired?"""
        known = self._tokens().get(token.handle)
        return known is not None and not known.revoked and not known.has_expired(self.clock())

    def _tokens(self) -> dict[str, Token]:
        """All tokens by handle; read again only when the log has more to say of them."""
        with self.file.reading() as connection:
            found = connection.execute(
                "SELECT max(originator_version) FROM stored_events WHERE originator_id = ?", (ACCESS,)
            ).fetchone()
        if (found[0] or 0) != self._version:
            with self._turn:
                self._read()
        return self._by_handle

    def _read(self) -> None:
        from eventsourcing.persistence import StoredEvent

        with self.file.reading() as connection:
            rows = connection.execute(
                "SELECT originator_id, originator_version, topic, state FROM stored_events WHERE originator_id = ? "
                "ORDER BY originator_version",
                (ACCESS,),
            ).fetchall()
        mapper, state = EventMapper(), Access.nothing()
        for row in rows:
            state.evolve(mapper.to_domain_event(StoredEvent(*row)))
        self._by_handle = {token.handle: token for token in state.tokens.values()}
        self._version = rows[-1][1] if rows else 0

    def note_uses(self) -> None:
        """Write down when tokens were used last, if they were used since: one write for all of them."""
        new = {name: at for name, at in list(self._uses.items()) if self._noted.get(name) != at}
        if not new:
            return
        with self.file.pen() as connection:
            connection.executemany(
                "INSERT INTO token_uses VALUES (?, ?) ON CONFLICT (name) DO UPDATE "
                "SET last_used_at = excluded.last_used_at WHERE token_uses.last_used_at < excluded.last_used_at",
                [(name, as_text(at)) for name, at in new.items()],
            )
        self._noted.update(new)
