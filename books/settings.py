"""Settings and defaults: where the books are, and who writes in them."""

import os
import re
import sys
from decimal import Decimal
from typing import TYPE_CHECKING

from ..domain.errors import AmountRefused, Unavailable
from ..domain.health import Limits
from ..domain.money import usd
from ..store.opening import ON_POSTGRESQL

if TYPE_CHECKING:
    from ..notifiers.delivery import Patience

_SYSTEM: str = sys.platform
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""What begins like an address of something, and is no path."""
LOCATION = "MECRIS_BOOKS"
"""The environment variable that names the books."""


def location(named: str | os.PathLike[str] | None) -> str:
    """The books: a file or the URL of a database, as named, else as the environment says, else in the user's data directory."""
    chosen = str(named) if named is not None else os.environ.get(LOCATION, "")
    if chosen.startswith(ON_POSTGRESQL):
        return chosen
    if ADDRESS.match(chosen):
        raise Unavailable(
            f"{chosen.partition(':')[0]}: is no place for books: give a file, like ./books.db, or a database, like postgresql://db1/spend"
        )
    if named is not None and not chosen.strip():
        raise Unavailable("--books names nothing: give a file, like ./books.db")
    return os.path.abspath(os.path.expanduser(chosen)) if chosen else _default()


def _default() -> str:
    return os.path.join(_on_linux() or _elsewhere(), "books.db")


def _on_linux() -> str | None:
    """What platformdirs says too, without the 10 ms that importing it takes."""
    if _SYSTEM != "linux":
        return None
    home = os.environ.get("XDG_DATA_HOME", "").strip() or os.path.expanduser("~/.local/share")
    return os.path.join(home, "mecris")


def _elsewhere() -> str:
    from platformdirs import user_data_dir

    return user_data_dir("mecris", appauthor=False)


LIMITS = {
    "stale_days": "MECRIS_STALE_DAYS",
    "warning_percent": "MECRIS_WARNING_PERCENT",
    "critical_days": "MECRIS_CRITICAL_DAYS",
    "critical_discrepancy_percent": "MECRIS_CRITICAL_DISCREPANCY_PERCENT",
    "warning_cool_down_hours": "MECRIS_WARNING_COOL_DOWN_HOURS",
    "critical_cool_down_hours": "MECRIS_CRITICAL_COOL_DOWN_HOURS",
}
"""The environment variables that move a limit of `domain.health.Limits` away from its default."""


def limits() -> Limits:
    """Where health changes and how long alerts cool down: as the environment says, else the defaults."""
    said = {name: os.environ.get(variable, "").strip() for name, variable in LIMITS.items()}
    return Limits(**{name: _positive(LIMITS[name], value) for name, value in said.items() if value})


def _positive(variable: str, value: str) -> Decimal:
    read = usd(value, variable)
    if read < 0:
        raise AmountRefused(f"{variable} is {value}: give a number of 0 or more")
    return read


def patience() -> "Patience":
    """How long a target of an alert is waited for, and how often it is tried."""
    from ..notifiers.delivery import Patience

    default = Patience()
    attempts = os.environ.get("MECRIS_DELIVERY_ATTEMPTS", "").strip()
    timeout = os.environ.get("MECRIS_DELIVERY_TIMEOUT_SECONDS", "").strip()
    many = _positive("MECRIS_DELIVERY_ATTEMPTS", attempts) if attempts else Decimal(default.attempts)
    if not 1 <= many <= 5 or many != int(many):
        raise AmountRefused(f"MECRIS_DELIVERY_ATTEMPTS is {attempts}: give a whole number from 1 to 5")
    seconds = _positive("MECRIS_DELIVERY_TIMEOUT_SECONDS", timeout) if timeout else Decimal(default.timeout)
    if not 0 < seconds <= 20:
        raise AmountRefused(f"MECRIS_DELIVERY_TIMEOUT_SECONDS is {timeout}: give more than 0 and at most 20 seconds")
    return Patience(int(many), float(seconds), default.pause)


def author() -> str:
    """The operating-system user."""
    from getpass import getuser

    try:
        return getuser()
    except (OSError, KeyError, ImportError):
        return f"uid {os.getuid()}" if hasattr(os, "getuid") else "unknown"
