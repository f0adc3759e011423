"""Every format, and which one a file is of. The order matters only for speed: a file is of one format or of none."""

from collections.abc import Mapping
from types import ModuleType

from ..domain.errors import MecrisError
from . import (
    anthropic_cost,
    ccusage,
    dashboard,
    openrouter_activity,
    openrouter_credits,
    openrouter_generations,
    payload,
    plain_csv,
)
from .reading import File

FORMATS: Mapping[str, ModuleType] = {
    module.NAME: module
    for module in (
        anthropic_cost,
        ccusage,
        dashboard,
        openrouter_activity,
        openrouter_credits,
        openrouter_generations,
        payload,
        plain_csv,
    )
}
"""Each importer by the name of its format."""


def recognised(file: File) -> list[ModuleType]:
    """The importers that take a file for theirs; one, if all is well."""
    return [importer for importer in FORMATS.values() if _takes(importer, file)]


def _takes(importer: ModuleType, file: File) -> bool:
    try:
        return bool(importer.recognises(file))
    except (MecrisError, AttributeError, KeyError, TypeError, ValueError):
        return False
