"""Counts of tokens, as several formats have them: what an entry must say, and what was written to caches."""

from collections.abc import Mapping
from typing import Any

from ..domain.errors import PayloadRefused
from ..domain.terms import Terms
from .reading import count

LONGEST_TERM = 40
"""Characters of a name of a tier, a region, and the like."""


def require_any(fields: Mapping[str, Any], *names: str) -> None:
    """Refuse an entry without one of the counts that it is about: zeros would hide that it says nothing."""
    if all(fields.get(name) is None for name in names):
        raise PayloadRefused(f"the entry has none of {', '.join(names)}")


def cache_written(breakdown: Any) -> int:
    """Tokens that Anthropic wrote to caches, of every lifetime: today 5 minutes and an hour, a new one would count too."""
    lifetimes = (breakdown or {}).items()
    return sum(count(n, name) for name, n in lifetimes if name.startswith("ephemeral_") and name.endswith("_tokens"))


def kept_an_hour(breakdown: Any) -> int:
    """Tokens that Anthropic wrote to caches that keep them for an hour, which costs more."""
    return count((breakdown or {}).get("ephemeral_1h_input_tokens"), "ephemeral_1h_input_tokens")


def anthropic_terms(fields: Mapping[str, Any], hour: int, *, summed: bool = False) -> str:
    """What the price of tokens at Anthropic depends on: what an entry says of it, and tokens kept in a cache for an hour."""
    tier, window, region, speed = (fields.get(n) for n in ("service_tier", "context_window", "inference_geo", "speed"))
    other = (
        *unusual(tier, "tier", "standard", "batch"),
        *unusual(window, "context window", "0-200k", "200k-1M"),
        *unusual(region, "region", "global", "not_available", "us"),
        *unusual(speed, "speed", "standard", "normal", "fast"),
    )
    searches = count((fields.get("server_tool_use") or {}).get("web_search_requests"), "web_search_requests")
    known = Terms(tier == "batch", summed, window == "200k-1M", speed == "fast", region == "us", hour, searches)
    return str(known._replace(other=", ".join(other) or None))


def unusual(value: Any, what: str, *known: str) -> tuple[str, ...]:
    """A term whose price is not known here, in words; what is not said is as usual."""
    if value in (None, "") or value in known:
        return ()
    is_name = isinstance(value, str) and len(value) <= LONGEST_TERM and value.isprintable()
    return (f"{what} {value if is_name else 'unknown'}",)


def model_of(fields: Mapping[str, Any]) -> str | None:
    """The model of an entry, if it names one; every name is one."""
    model = fields.get("model")
    if model is not None and not isinstance(model, str):
        raise PayloadRefused(f"model {str(model)[:40]!r} is no name")
    return model or None
