"""`mecris serve` and `mecris mcp`: the doors for programs and agents."""

import ipaddress
import os

import click

from ..books import Books
from ..domain.errors import RuleRefused, Unavailable
from .common import tell


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where to listen.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8787, show_default=True, metavar="N", help="0: any free one."
)
@click.option(
    "--rate-limit",
    default="6000/minute",
    show_default=True,
    metavar="N/UNIT",
    envvar="MECRIS_RATE_LIMIT",
    help="Requests of one token.  [env: MECRIS_RATE_LIMIT]",
)
def serve(host: str, port: int, rate_limit: str) -> None:
    """Open the door for programs: REST over HTTP, until it is interrupted."""
    try:
        from ..servers.rest.app import application
        from ..servers.rest.guard import Limits
        from ..servers.rest.server import listen, serve
    except ImportError as missing:
        raise Unavailable(f"{missing.name} is not installed: pip install 'mecris[server]'") from None

    opened = _books("rest")
    require_tokens(opened, host)
    app = application(
        opened, limits=Limits(rate=_rate(rate_limit)), notify=tuple(os.environ.get("MECRIS_NOTIFY", "").split())
    )
    listening = listen(host, port)
    tell(f"serving {opened.file.where} on http://{host}:{listening.getsockname()[1]}, until it is interrupted")
    serve(app, app.state.closing, listening)


@click.command("mcp")
@click.option(
    "--http",
    is_flag=True,
    help="Over streamable HTTP, with the tokens of `mecris token`, instead of standard input and output.",
)
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where to listen, with --http.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8788, show_default=True, metavar="N", help="0: any free one."
)
def mcp(http: bool, host: str, port: int) -> None:
    """Open the door for agents: the Model Context Protocol."""
    try:
        from ..servers.mcp.app import over_http, over_stdio
    except ImportError as missing:
        raise Unavailable(f"{missing.name} is not installed: pip install 'mecris[mcp]'") from None

    opened = _books("mcp")
    if not http:
        return over_stdio(opened)
    from ..servers.rest.server import listen

    require_tokens(opened, host)
    listening = listen(host, port)
    tell(f"serving {opened.file.where} on http://{host}:{listening.getsockname()[1]}/mcp, until it is interrupted")
    over_http(opened, listening)


def _books(via: str) -> Books:
    """The books that the command line names, written to through another door."""
    named = click.get_current_context().find_root().obj
    return click.get_current_context().with_resource(Books.open(named, via=via))


def require_tokens(opened: Books, host: str) -> None:
    """Refuse to listen to others while nobody has a token, and say how to make one."""
    if any(token["state"] == "valid" for token in opened.tokens()):
        return
    how = f"mecris --books {opened.file.where} token create --name me --scope write"
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


def _rate(text: str) -> str:
    from limits import parse

    try:
        parse(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is not a rate: write it like 6000/minute", param_hint="--rate-limit"
        ) from None
    return text
