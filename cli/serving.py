"""`mecris serve` and `mecris mcp`: the doors for programs and agents."""

import ipaddress
import os
import re
import shlex
import socket
from collections.abc import Callable
from typing import Any, TypeVar

import click

from ..books import Books
from ..domain.errors import RuleRefused, Unavailable
from .common import tell

F = TypeVar("F", bound=Callable[..., Any])


def _listening(port: int) -> Callable[[F], F]:
    """The options of every server."""

    def listening(command: F) -> F:
        for option in (
            click.option(
                "--wrong-token-limit",
                default="60/minute",
                show_default=True,
                metavar="N/UNIT",
                callback=_rate,
                help="Requests of one address whose token opens nothing.",
            ),
            click.option(
                "--rate-limit",
                default="60000/minute",
                show_default=True,
                metavar="N/UNIT",
                envvar="MECRIS_RATE_LIMIT",
                callback=_rate,
                help="Requests of one token.  [env: MECRIS_RATE_LIMIT]",
            ),
            click.option(
                "--port",
                type=click.IntRange(0, 65535),
                default=port,
                show_default=True,
                metavar="N",
                help="0: any free one.",
            ),
            click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where to listen."),
        ):
            command = option(command)
        return command

    return listening


def _rate(_: click.Context, __: click.Parameter, text: str) -> str:
    if not re.fullmatch(r"\s*[0-9]{1,9}\s*(/|per)\s*([0-9]{1,9}\s*)?(second|minute|hour|day)s?\s*", text):
        raise click.BadParameter(f"{text!r} is not a rate: write it like 6000/minute")
    return text


@click.command("serve")
@_listening(8787)
def serve(host: str, port: int, rate_limit: str, wrong_token_limit: str) -> None:
    """Open the door for programs: REST over HTTP, until it is interrupted."""
    try:
        from ..servers.rest.app import application
        from ..servers.rest.guard import Limits
        from ..servers.rest.server import listen, serve
    except ImportError as missing:
        raise Unavailable(f"{missing.name} is not installed: pip install 'mecris[server]'") from None

    opened = _books("rest")
    require_tokens(opened, host)
    notify = tuple(os.environ.get("MECRIS_NOTIFY", "").split())
    app = application(opened, limits=Limits(rate=rate_limit, wrong=wrong_token_limit), notify=notify)
    listening = listen(host, port)
    tell(f"serving {opened.file.where} on http://{_place(host, listening)}, until it is interrupted")
    serve(app, app.state.closing, listening)


@click.command("mcp")
@click.option(
    "--http",
    is_flag=True,
    help="Over streamable HTTP, with the tokens of `mecris token`, instead of standard input and output; "
    "the other options are for it.",
)
@_listening(8788)
def mcp(http: bool, host: str, port: int, rate_limit: str, wrong_token_limit: str) -> None:
    """Open the door for agents: the Model Context Protocol."""
    try:
        from ..servers.mcp.app import over_http, over_stdio
        from ..servers.rest.guard import Limits
        from ..servers.rest.server import listen
    except ImportError as missing:
        raise Unavailable(f"{missing.name} is not installed: pip install 'mecris[mcp]'") from None

    opened = _books("mcp")
    if not http:
        return over_stdio(opened)
    require_tokens(opened, host)
    listening = listen(host, port)
    tell(f"serving {opened.file.where} on http://{_place(host, listening)}/mcp, until it is interrupted")
    over_http(opened, listening, Limits(rate=rate_limit, wrong=wrong_token_limit))


def _place(host: str, listening: socket.socket) -> str:
    return f"{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"


def _books(via: str) -> Books:
    """The books that the command line names, written to through another door."""
    named = click.get_current_context().find_root().obj
    return click.get_current_context().with_resource(Books.open(named, via=via))


def require_tokens(opened: Books, host: str) -> None:
    """Refuse to listen to others while nobody has a token, and say how to make one."""
    if any(token["state"] == "valid" for token in opened.tokens()):
        return
    how = f"mecris --books {shlex.quote(opened.file.where)} token create --name me --scope write"
    if not _is_loopback(host):
        raise RuleRefused(
            f"nobody has a token, so a server on {host} would let nobody in: make one first ({how})", code="no-tokens"
        )
    tell(f"nobody has a token yet, and every request needs one: {how}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
