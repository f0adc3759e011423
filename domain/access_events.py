"""Events of access tokens: who may come through the doors of a server. No secrets: a token is kept as a digest."""

from typing import Any, ClassVar

from .event import Event, Moment


class AccessEvent(Event):
    """Something that happened to the tokens of the books; the first one makes them."""

    def first_of(self) -> Any:
        """Nothing has happened to them yet."""
        from .access import Access

        return Access.blank(self.originator_id)


class TokenCreated(AccessEvent):
    """A token was made: `handle` is its public part, `digest` the SHA-256 of its secret part, in hex."""

    stored_as: ClassVar[str] = "token-created.v1"
    name: str
    scope: str
    handle: str
    digest: str
    expires_at: Moment | None = None


class TokenRevoked(AccessEvent):
    """A token opens nothing any more; its name is not used again."""

    stored_as: ClassVar[str] = "token-revoked.v1"
    name: str
    reason: str | None = None


ACCESS_EVENTS: tuple[type[Event], ...] = (TokenCreated, TokenRevoked)
"""Everything that can happen to tokens."""
