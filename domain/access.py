"""Access tokens: who may ask, who may order, and who may do what concerns the whole books."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from . import access_events as e
from . import commands as c
from .aggregate import Aggregate, Answer, Stamp
from .errors import NotFound, RuleRefused, TimeRefused
from .event import Event
from .period import end_of, time_text
from .text import name_of, reason_of

READ, WRITE, ADMIN = "read", "write", "admin"
SCOPES = (READ, WRITE, ADMIN)
"""From little to much; each includes those before it."""


class Token(NamedTuple):
    """One token; `digest` is the SHA-256 of its secret part, in hex."""

    name: str
    scope: str
    handle: str
    digest: str
    expires_at: datetime | None
    revoked: bool = False

    def allows(self, scope: str) -> bool:
        """Does what it may do include this?"""
        return SCOPES.index(self.scope) >= SCOPES.index(scope)

    def has_expired(self, now: datetime) -> bool:
        """Is its time over?"""
        return self.expires_at is not None and now >= self.expires_at


@dataclass
class AccessState:
    """Every token there ever was, by name."""

    tokens: dict[str, Token] = field(default_factory=dict)

    def copy(self) -> "AccessState":
        """The same state, to be evolved apart."""
        return AccessState(self.tokens.copy())

    def evolve(self, event: Event) -> None:
        """Take in what has happened."""
        if isinstance(event, e.TokenCreated):
            self.tokens[event.name] = Token(event.name, event.scope, event.handle, event.digest, event.expires_at)
        elif isinstance(event, e.TokenRevoked):
            self.tokens[event.name] = self.tokens[event.name]._replace(revoked=True)


class Access(Aggregate):
    """The tokens of the books."""

    if TYPE_CHECKING:
        state: AccessState  # the library would turn a class with annotations into a dataclass

    @classmethod
    def nothing(cls) -> AccessState:
        """Nobody has a token."""
        return AccessState()

    def decide(self, order: c.TokenCommand, stamp: Stamp) -> Answer:
        """Do what an order says, or refuse it."""
        before = len(self.pending_events)
        if isinstance(order, c.CreateToken):
            answer = self._let_in(order, stamp)
        elif isinstance(order, c.RevokeToken):
            answer = self._revoke(order, stamp)
        else:
            raise RuleRefused(f"{type(order).__name__} is not an order about tokens", code="unknown-order")
        return {"recorded": len(self.pending_events) > before, **answer}

    def _let_in(self, order: c.CreateToken, stamp: Stamp) -> Answer:
        name = name_of(order.token_name, "the name of a token")
        if not name:
            raise RuleRefused("a token needs a name, like ci or laptop: it is who recorded what", code="name")
        known = self.state.tokens.get(name)
        if known:
            state = "was revoked, and its name stays that of what it recorded" if known.revoked else "exists"
            raise RuleRefused(f"the token '{name}' {state}: take another name", code="token-exists")
        expires_at = None if order.expires is None else end_of(order.expires, stamp.now)
        if expires_at is not None and expires_at <= stamp.now:
            raise TimeRefused(f"the token would have expired at {time_text(expires_at)}: give a time to come")
        self.record(
            stamp,
            e.TokenCreated,
            name=name,
            scope=order.scope,
            handle=order.handle,
            digest=order.digest,
            expires_at=expires_at,
        )
        return {
            "name": name,
            "scope": order.scope,
            "expires_at": None if expires_at is None else time_text(expires_at),
        }

    def _revoke(self, order: c.RevokeToken, stamp: Stamp) -> Answer:
        known = self.state.tokens.get(order.token_name.strip())
        if known is None:
            raise NotFound(
                f"there is no token '{order.token_name}': `mecris token list` shows those there are",
                code="token-not-found",
            )
        reason = None if order.reason is None else reason_of(order.reason, "the reason")
        if not known.revoked:
            self.record(stamp, e.TokenRevoked, name=known.name, reason=reason)
        return {"name": known.name, "scope": known.scope}
