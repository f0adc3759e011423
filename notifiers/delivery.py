"""Deliver one alert to one target: a few attempts with a growing pause, each bounded in time."""

from collections.abc import Callable
from http.client import HTTPException
from threading import Thread
from time import sleep
from typing import Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from ..domain.errors import MecrisError, RuleRefused, Unavailable
from .targets import Target

PASSING = (408, 425, 429)
"""Answers of 4xx after which trying again makes sense."""


class Notice(NamedTuple):
    """What is told: a title, a message and a level (WARNING or CRITICAL) for people, and a JSON text for programs."""

    title: str
    message: str
    level: str
    body: str


class Patience(NamedTuple):
    """How often a target is tried, how long one attempt may take, and the first pause between two (it doubles); seconds."""

    attempts: int = 3
    timeout: float = 10
    pause: float = 1


class Outcome(NamedTuple):
    """What came of it; no error means that it was delivered."""

    attempts: int
    error: str | None


class _Failed(Exception):
    """An attempt that did not get through."""

    def __init__(self, why: str, *, for_good: bool = False) -> None:
        super().__init__(why)
        self.for_good = for_good


def deliver(target: Target, notice: Notice, patience: Patience) -> Outcome:
    """Try a target until it answers, or patience ends."""
    send = _webhook if target.is_webhook else _apprise
    error = None
    for attempt in range(1, patience.attempts + 1):
        try:
            _within(patience.timeout, lambda: send(target, notice, patience.timeout))
            return Outcome(attempt, None)
        except _Failed as failed:
            error = str(failed)
            if failed.for_good or attempt == patience.attempts:
                return Outcome(attempt, error)
        sleep(patience.pause * 2 ** (attempt - 1))
    return Outcome(patience.attempts, error)


def _within(seconds: float, send: Callable[[], None]) -> None:
    """Give up waiting after so long, whatever the other side does; it may drip bytes for ever."""
    ended: list[Exception | None] = []

    def attempt() -> None:
        try:
            send()
            ended.append(None)
        except Exception as error:  # noqa: BLE001  # it is raised below, in the caller's thread
            ended.append(error)

    thread = Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(seconds)
    if not ended:
        raise _Failed(f"no answer within {seconds:g} s")
    error = ended[0]
    if isinstance(error, _Failed | MecrisError):
        raise error
    if error is not None:
        raise _Failed(type(error).__name__)  # its text may hold the address, and that a secret


class _NoRedirects(HTTPRedirectHandler):
    """A webhook that moved is told, not followed: a POST would become a GET."""

    def redirect_request(self, *_: Any) -> None:
        """Follow nothing."""


def _webhook(target: Target, notice: Notice, timeout: float) -> None:
    """POST the JSON text; any answer of 2xx is fine."""
    address, credentials = target.request()
    headers = {"Content-Type": "application/json", "User-Agent": "mecris", **credentials}
    try:
        request = Request(address, notice.body.encode(), headers, method="POST")  # noqa: S310  # only http and https come here
        with build_opener(_NoRedirects).open(request, timeout=timeout):
            return
    except HTTPError as error:
        error.close()
        lasting = 400 <= error.code < 500 and error.code not in PASSING
        raise _Failed(f"HTTP {error.code}", for_good=lasting) from None
    except URLError as error:
        raise _Failed(_reason(error.reason)) from None
    except TimeoutError:
        raise _Failed(f"no answer within {timeout:g} s") from None
    except (OSError, HTTPException) as error:
        raise _Failed(_reason(error)) from None


def _reason(error: object) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__


def require_apprise(target: Target) -> None:
    """Refuse a target that cannot be reached from here, before anything is recorded."""
    if target.is_webhook:
        return
    if not _apprise_of(target):
        raise RuleRefused(
            f"'{target.label}' is no service that Apprise knows, or its URL is incomplete: see its list of services",
            code="notify-url",
        )


def _apprise_of(target: Target) -> Any:
    try:
        from apprise import Apprise
    except ImportError:
        raise Unavailable(
            f"'{target.label}' is reached through Apprise, which is not installed: pip install 'mecris[alerts]'"
        ) from None
    apprise = Apprise()
    return apprise if apprise.add(target.url) else None


def _apprise(target: Target, notice: Notice, timeout: float) -> None:
    sender = _apprise_of(target)
    kind = "failure" if notice.level == "CRITICAL" else "warning"
    if not sender or not sender.notify(title=notice.title, body=notice.message, notify_type=kind):
        raise _Failed("the service did not take it")
