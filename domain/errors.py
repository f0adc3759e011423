"""Everything that can go wrong, as one tree.

    MecrisError
    ├── Refused                 a rule says no                          exit 3
    │   ├── AmountRefused       a figure that no ledger can hold
    │   ├── TimeRefused         a moment that cannot be meant
    │   ├── PayloadRefused      a payload that says too little, too much, or something else
    │   ├── RuleRefused         a rule about sources, plugs and cycles
    │   ├── ConfirmationNeeded  allowed, but only with an explicit yes
    │   ├── NotFound            unknown cycle, reading, plug, position
    │   │   └── NoBooks         there are no books where some were to be read
    │   └── Denied              whoever asks may not (at the doors of a server)
    │       ├── Unauthenticated no token, or one that opens nothing
    │       └── Forbidden       a token whose scope is too small
    ├── Conflict                somebody else was first                 exit 4
    │   ├── KeyReused           an idempotency key with another content
    │   └── Busy                another writer held the books too long
    ├── Damaged                 the books cannot be trusted             exit 5
    │   ├── NotBooks            the file is something else
    │   ├── NewerBooks          written by a newer Mecris
    │   └── EventDamaged        a stored event is not what it was
    └── Unavailable             disk, permission, a missing extra       exit 6

Every refusal has a stable `code` that programs may rely on, and a message that says what to do.
"""

UNKNOWN_FORMAT = "unknown-format"
"""The code of a refusal of a file that nobody knows, and that need be no export at all."""


class MecrisError(Exception):
    """The root of everything Mecris raises on purpose."""

    code = "error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Refused(MecrisError):
    """A rule says no: nothing was recorded."""

    code = "refused"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code:
            self.code = code


class AmountRefused(Refused):
    """A figure that cannot be kept exactly, or that makes no sense where it stands."""

    code = "amount"


class TimeRefused(Refused):
    """A moment that cannot be read, lies outside the cycle, or has not come yet."""

    code = "time"


class PayloadRefused(Refused):
    """The payload names no amount, several, or another one than was given."""

    code = "payload"


class RuleRefused(Refused):
    """A rule about cycles, sources and plugs says no; `code` names which."""

    code = "rule"


class ConfirmationNeeded(Refused):
    """The order is allowed, but only with an explicit yes."""

    code = "needs-yes"


class NotFound(Refused):
    """The books do not hold what was asked for."""

    code = "not-found"


class NoBooks(NotFound):
    """There are no books where some were to be read."""

    code = "no-books"

    def __init__(self, where: str) -> None:
        super().__init__(f"there are no books at {where}, and none were made: check the name")


class Denied(Refused):
    """Whoever asks may not."""

    code = "denied"


class Unauthenticated(Denied):
    """No token was shown, or one that is unknown, expired or revoked."""

    code = "unauthenticated"


class Forbidden(Denied):
    """The token's scope does not include what was asked."""

    code = "forbidden"


class Conflict(MecrisError):
    """Another writer was first, or a key already stands for something else."""

    code = "conflict"


class KeyReused(Conflict):
    """The idempotency key was used before, for another content."""

    code = "key-reused"

    def __init__(self, key: str) -> None:
        super().__init__(
            f"the idempotency key {key!r} was used before for another order: use a new key, or send the first order again"
        )


class Busy(Conflict):
    """Another writer held the books for longer than we wait."""

    code = "busy"


class Damaged(MecrisError):
    """The books are not what Mecris wrote."""

    code = "damaged"


class NotBooks(Damaged):
    """The file is not a Mecris file, or no database at all."""

    code = "not-books"


class NewerBooks(Damaged):
    """The books were written by a newer Mecris."""

    code = "newer-books"


class EventDamaged(Damaged):
    """A stored event was changed, removed, inserted or moved."""

    code = "event-damaged"


class Unavailable(MecrisError):
    """The machine would not let us: disk, permission, a file in the way, a missing extra."""

    code = "unavailable"
