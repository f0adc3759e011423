"""Every format, and which one a file is of. The order matters only for speed: a file is of one format or of none."""

from collections.abc import Mapping
from types import ModuleType

from ..domain.errors import MecrisError
from . import (
    anthropic_cost,
    anthropic_messages,
    anthropic_usage,
    ccusage,
    claude_code,
    dashboard,
    litellm,
    openai_costs,
    openai_usage,
    openrouter_activity,
    openrouter_credits,
    openrouter_generations,
    payload,
    plain_csv,
)
from .kinds import WRONG_SHAPE
from .reading import File

FORMATS: Mapping[str, ModuleType] = {
    module.NAME: module
    for module in (
        claude_code,
        litellm,
        anthropic_cost,
        anthropic_usage,
        anthropic_messages,
        openai_costs,
        openai_usage,
        openrouter_activity,
        openrouter_generations,
        openrouter_credits,
        ccusage,
        payload,
        plain_csv,
        dashboard,
    )
}
"""Each importer by the name of its format."""
SECOND_HAND = frozenset((litellm.NAME,))
"""Formats in which somebody between says what calls of a provider cost: what the provider says itself is right before it."""


def recognised(file: File) -> list[ModuleType]:
    """The importers that take a file for theirs; one, if all is well."""
    return [importer for importer in FORMATS.values() if _takes(importer, file)]


def why_unknown(file: File) -> str:
    """What is to be said of a file that no importer takes."""
    begin = file.head.lstrip()
    if not begin:
        return "is empty: export it again"
    if begin[:1] in (b"{", b"[") and file.first_json is None:
        try:
            file.json  # noqa: B018  # it refuses, and says where
        except MecrisError as broken:
            return f"begins like JSON and is none ({broken.message}): is it whole?"
    return f"is of no format that is known: say which with --format, of {', '.join(FORMATS)}"


def _takes(importer: ModuleType, file: File) -> bool:
    try:
        return bool(importer.recognises(file))
    except (MecrisError, *WRONG_SHAPE):
        return False
