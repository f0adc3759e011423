"""`mecris token`: who may come through the doors of a server."""

from typing import Any

import click

from . import show
from .common import JSON, KEY, asked_as_of, books, order, tell, write_json

SCOPES = click.Choice(["read", "write", "admin"])


@click.group()
def token() -> None:
    """Who may come through the doors of a server."""


@token.command("create")
@click.option("--name", required=True, metavar="N", help="Who it is for: what it records is recorded by this name.")
@click.option("--scope", type=SCOPES, required=True, help="write includes read, admin includes both.")
@click.option("--expires", metavar="WHEN", help="A date (its end, in UTC) or a date-time.  [default: never]")
@JSON
def create(name: str, scope: str, expires: str | None, as_json: bool) -> None:
    """Make a token. It is shown this once."""
    made = books().create_token(name, scope, expires=expires)
    if as_json:
        return write_json({field: made[field] for field in ("name", "scope", "token", "expires_at")})
    tell(f"token '{made['name']}' may {made['scope']}; it is shown this once, keep it like a password:")
    click.echo(made["token"])


@token.command("list")
@asked_as_of
@JSON
def listed(as_of: str | None, as_json: bool) -> None:
    """Every token with its scope and state; no secrets."""
    rows = books().tokens(as_of=as_of)
    write_json(rows) if as_json else click.echo(_table(rows))


def _table(rows: list[dict[str, Any]]) -> str:
    if not rows:
        return "no token yet: `mecris token create` makes one"
    cells = [
        (
            t["name"],
            t["scope"],
            t["state"],
            show.when(t["created_at"]),
            t["created_by"],
            show.when(t["expires_at"]),
            show.when(t["last_used_at"]),
        )
        for t in rows
    ]
    return show.table(("token", "scope", "state", "created at", "by", "expires at", "last used at"), cells)


@token.command("revoke")
@click.argument("name")
@click.option("--reason", metavar="T", help="Why, in a few words.")
@KEY
@JSON
def revoke(name: str, reason: str | None, key: str | None, as_json: bool) -> None:
    """Let a token open nothing any more, anywhere, from now on."""
    from ..domain.commands import RevokeToken

    _, answer = order(RevokeToken(token_name=name, reason=reason), key)
    if as_json:
        return write_json(answer)
    told = "is revoked" if answer["recorded"] else "was revoked before: nothing was recorded"
    click.echo(f"token '{answer['name']}' {told}")
