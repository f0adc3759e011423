"""Every format, and which one a file is of. The order matters only for speed: a file is of one format or of none."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from ..domain.errors import UNKNOWN_FORMAT, MecrisError, PayloadRefused
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
from .reading import HEAD, File

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
PACKED = {b"\x1f\x8b": "a gzip archive", b"PK\x03\x04": "a zip archive"}
"""How packed files begin."""
OF_ERRORS = frozenset(("type", "error", "request_id", "user_id"))
"""The fields of an answer that is an error and nothing else."""
QUOTED = 200
"""Characters of an API's message that are told."""
SECOND_HAND = frozenset((litellm.NAME,))
"""Formats in which somebody between says what calls of a provider cost: what the provider says itself is right before it."""


def recognised(file: File) -> list[ModuleType]:
    """The importers that take a file for theirs; one, if all is well."""
    return [importer for importer in FORMATS.values() if _takes(importer, file)]


def refusal(file: File) -> PayloadRefused:
    """What is to be said of a file that no importer takes; its code tells a file that is not ours from one that may be broken."""
    begin = file.head.lstrip()
    if not begin:
        return PayloadRefused(f"{file.name} is empty: export it again", code=UNKNOWN_FORMAT)
    is_json = begin[:1] in (b"{", b"[")
    if is_json and file.first_json is None:
        try:
            file.json  # noqa: B018  # it refuses, and says where
        except MecrisError as broken:
            return PayloadRefused(
                f"{file.name} begins like JSON and is none ({broken.message}): export it again if it is not whole"
            )
    which = f"say which with --format, of {', '.join(FORMATS)} (a CSV needs columns `usd` and `date` in its first line)"
    if is_json and _is_empty_page(file.first_json):
        return PayloadRefused(f"{file.name} is an empty page, which names no format: {which}", code=UNKNOWN_FORMAT)
    return PayloadRefused(f"{file.name} is of no format that is known: {which}", code=UNKNOWN_FORMAT)


def require_export(file: File) -> None:
    """Refuse what is no export of any format, also where it is said to be of one: an API's error, and a packed file."""
    for mark, packed in PACKED.items():
        if file.head.startswith(mark):
            raise PayloadRefused(f"{file.name} is {packed}: unpack it first")
    if (told := _error_of(file)) is not None:
        raise PayloadRefused(f"{file.name} is an error of the API and no export ({told}): ask it again")


def _is_empty_page(found: Any) -> bool:
    """Is it one page, or several, without a single result?"""
    pages = found if isinstance(found, list) else [found]
    return all(isinstance(page, dict) and _has_no_results(page.get("data")) for page in pages)


def _has_no_results(data: Any) -> bool:
    return isinstance(data, list) and all(isinstance(bucket, dict) and bucket.get("results") == [] for bucket in data)


def _error_of(file: File) -> str | None:
    """What an API said that answered with an error."""
    if file.head.lstrip()[:1] != b"{" or file.size > HEAD:
        return None
    try:
        found = file.json
    except MecrisError:
        return None
    if not isinstance(found, dict) or not isinstance(found.get("error"), dict) or not found.keys() <= OF_ERRORS:
        return None
    return " ".join(
        str(found["error"].get("message") or found["error"].get("type") or "without a message")[:QUOTED].split()
    )


def _takes(importer: ModuleType, file: File) -> bool:
    try:
        return bool(importer.recognises(file))
    except (MecrisError, *WRONG_SHAPE):
        return False
