"""Counts of tokens, as several formats have them: what an entry must say, and what was written to caches."""

from collections.abc import Mapping
from typing import Any

from ..domain.errors import PayloadRefused
from .reading import count


def require_any(fields: Mapping[str, Any], *names: str) -> None:
    """Refuse an entry without one of the counts that it is about: zeros would hide that it says nothing."""
    if all(fields.get(name) is None for name in names):
        raise PayloadRefused(f"the entry has none of {', '.join(names)}")


def cache_written(breakdown: Any) -> int:
    """Tokens that Anthropic wrote to caches, of every lifetime: today 5 minutes and an hour, a new one would count too."""
    lifetimes = (breakdown or {}).items()
    return sum(count(n, name) for name, n in lifetimes if name.startswith("ephemeral_") and name.endswith("_tokens"))


def model_of(fields: Mapping[str, Any]) -> str | None:
    """The model of an entry, if it names one; every name is one."""
    model = fields.get("model")
    if model is not None and not isinstance(model, str):
        raise PayloadRefused(f"model {str(model)[:40]!r} is no name")
    return model or None
