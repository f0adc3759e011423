"""Where alerts go: notification URLs, each with a label that may be kept because no secret is in it."""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import blake2s
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from ..domain.errors import RuleRefused

WEBHOOK = ("http", "https")
"""Schemes that get a plain JSON POST; all others are Apprise's."""


SECRETS = {"pass", "password", "passwd", "pwd", "secret", "token", "key", "apikey", "api_key", "access_token"}
"""Names in a query whose values are no part of who is told."""


class Target(NamedTuple):
    """A notification URL and its label: what kind it is, and a digest that tells it from others of its kind."""

    url: str
    label: str

    @property
    def is_webhook(self) -> bool:
        """Does it get a plain JSON POST?"""
        return urlsplit(self.url).scheme in WEBHOOK

    def request(self) -> tuple[str, dict[str, str]]:
        """The address of a webhook, and a header with the user and password that were written in front of it."""
        parts = urlsplit(self.url)
        address = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        if parts.username is None:
            return address, {}
        who = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        return address, {"Authorization": f"Basic {b64encode(who.encode()).decode()}"}


def targets(urls: Sequence[str]) -> list[Target]:
    """Label notification URLs; one that is given twice is told once."""
    named = [(_label(number, url.strip()), url.strip()) for number, url in enumerate(urls, 1)]
    return [Target(url, label) for label, url in {f"{kind} #{_digest(url)}": url for kind, url in named}.items()]


def _digest(url: str) -> str:
    """Tells URLs apart in 32 bits. Passwords are left out: they may be guessed, and another password is no other target."""
    parts = urlsplit(url)
    user = parts.username or ""
    told = [(name, value) for name, value in parse_qsl(parts.query, True) if name.lower() not in SECRETS]
    where = parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}", query=urlencode(told))
    return blake2s(urlunsplit(where).encode(), digest_size=4).hexdigest()


def _label(number: int, url: str) -> str:
    try:
        parts = urlsplit(url)
        if parts.scheme in WEBHOOK:
            return f"{parts.scheme}://{_host(parts)}"
    except ValueError:
        parts = None
    if not parts or not parts.scheme or "://" not in url:
        raise RuleRefused(
            f"notification {number} is not a URL: give one like https://example.org/hook, slack://... or twilio://...",
            code="notify-url",
        )
    return parts.scheme


def _host(parts: SplitResult) -> str:
    if not parts.hostname:
        raise ValueError
    return f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
