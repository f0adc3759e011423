"""Refusals in the words of a door: the hall speaks of the command line's options, programs have fields."""

import re
from collections.abc import Mapping

_COMMANDS = re.compile(r"(`mecris [^`]*`|\bmecris (?:[a-z-]+ )*[a-z-]+(?: --[a-z-]+(?: (?!-)[^\s,;:()]+)?)*)")
_OPTION = re.compile(r"--([a-z]+(?:-[a-z]+)*)")
_FIELDS = {
    "remaining": "balance",
    "of": "credit",
    "amount": "amount_usd",
    "raw": "raw_payload",
    "cycle": "cycle_id",
    "compare-only": "counted: false",
    "in-includes-cache": "input_includes_cache",
    "no-reconcile": "reconcile: false",
    "start": "start_date",
    "end": "end_date",
    "target": "target_usd",
    "yes": "yes: true",
    "square": "square: true",
    "accept": "accept: true",
    "correct": "correct: true",
}


def for_programs(message: str, names: Mapping[str, str] = _FIELDS) -> str:
    """The same sentence with fields in place of options; whole commands, which a person can type, stay as they are."""
    parts = _COMMANDS.split(message)
    for place in range(0, len(parts), 2):
        parts[place] = _OPTION.sub(lambda found: f"`{names.get(found[1]) or found[1].replace('-', '_')}`", parts[place])
    return "".join(parts)
