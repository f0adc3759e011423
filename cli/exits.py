"""The exit codes of errors (docs/adr/0007)."""

import click

from ..domain.errors import Conflict, Damaged, MecrisError, Refused, Unavailable

EXITS = ((Refused, 3), (Conflict, 4), (Damaged, 5), (Unavailable, 6))
FAULT, INTERRUPTED = 6, 130
WORDS = {3: "refused", 4: "conflict", 5: "damaged", 6: "could not be done"}
"""How a message of that exit code begins."""


class Stopped(click.Abort):
    """Interrupted where something was done already: says what stays of it."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


def exit_of(error: MecrisError) -> int:
    """The code that an error ends a command with."""
    return next(code for kind, code in EXITS if isinstance(error, kind))
