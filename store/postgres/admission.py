"""Who may come in, asked in the statement that begins each transaction.

Books that were upgraded are used no longer by a server that was started before and knows no such books.

The read models belong to the team, so any member can put a function or a trigger among them. Whoever could change the log
(its owner, a superuser) never uses them once they were given away: such code would run with his rights.
"""

from typing import Any

import psycopg

from ...domain.errors import Unavailable
from . import schema
from .address import Address

_ASKED = """
SELECT format, log.relowner <> views.nspowner AND pg_has_role(session_user, log.relowner, 'MEMBER'),
    set_config('search_path', '{log}, {views}', true)
FROM {log}.books, pg_class log, pg_namespace views
WHERE log.oid = '{log}.stored_events'::regclass AND views.nspname = '{views}'"""
"""The names in it are looked up before the read models come onto the path, for this transaction alone; the session's own path
has the log. The server's own names come first on each path, but a function whose types fit better wins on any."""


class Admission:
    """Begins transactions in some books, for those who may use the read models."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._asked = _ASKED.format(log=address.log, views=address.views)

    def begin(self, raw: "psycopg.Connection[Any]", begin: str) -> None:
        """Begin a transaction, and find out whether it may go on."""
        answers = raw.execute(f"{begin}; {self._asked}")
        while answers.nextset():
            pass
        version, rules, _ = answers.fetchone() or self._nothing(raw)
        schema.require_known(version, self._address)
        if rules:
            raise Unavailable(
                f"{self._address.shown} is kept by a group, whose members can put code among the read models; with the rights of the "
                "owner or of a superuser it could change the log. Open it as a member of the group"
            )

    def _nothing(self, raw: "psycopg.Connection[Any]") -> tuple[None, bool, None]:
        """What there is to say when one of the two schemas, or the version, is missing; the log is there, it was asked."""
        found = raw.execute(schema.HAS_VIEWS.format(views=self._address.views)).fetchone()
        if found == (0,):
            raise schema.gone(self._address)
        return None, False, None
