"""Where alerts go: notification URLs, each with a label that may be kept because no secret is in it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from ..domain.errors import RuleRefused

WEBHOOK = ("http", "https")
"""Schemes that get a plain JSON POST; all others are Apprise's."""


class Target(NamedTuple):
    """A notification URL and its label: scheme and host of a webhook, the name of any other service."""

    url: str
    label: str

    @property
    def is_webhook(self) -> bool:
        """Does it get a plain JSON POST?"""
        return urlsplit(self.url).scheme in WEBHOOK


def targets(urls: Sequence[str]) -> list[Target]:
    """Label notification URLs; two of one label are told apart by number."""
    labels = [_label(number, url.strip()) for number, url in enumerate(urls, 1)]
    return [Target(url.strip(), label) for url, label in zip(urls, _told_apart(labels), strict=True)]


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


def _told_apart(labels: Iterable[str]) -> Iterable[str]:
    seen: Counter[str] = Counter()
    for label in labels:
        seen[label] += 1
        yield label if seen[label] == 1 else f"{label} #{seen[label]}"
