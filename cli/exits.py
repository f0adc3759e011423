"""The exit codes of errors (docs/adr/0007)."""

from ..domain.errors import Conflict, Damaged, MecrisError, Refused, Unavailable

EXITS = ((Refused, 3), (Conflict, 4), (Damaged, 5), (Unavailable, 6))
FAULT, INTERRUPTED = 6, 130


def exit_of(error: MecrisError) -> int:
    """The code that an error ends a command with."""
    return next(code for kind, code in EXITS if isinstance(error, kind))
