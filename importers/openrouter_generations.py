"""OpenRouter: single generations (`GET /api/v1/generation?id=`): one answer, an array of answers, or one a line.

Tokens are the provider's own (`native_*`), by which it bills; cached ones are part of the prompt, and reasoning is part of
the completion. `total_cost` is in dollars.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from ..domain.errors import PayloadRefused
from .kinds import Call, Items, Report, each
from .reading import File, Line, count, dollars, moment, read_json

NAME, VERSION = "openrouter-generations", 1
ENOUGH = 50
"""Answers to look at before a file is taken for something else."""


def recognises(file: File) -> bool:
    """Answers whose `data` has an id, a cost and the provider's own tokens."""
    return any(_is_generation(answer) for answer in islice(_answers(file), ENOUGH))


def report(file: File) -> Report:
    """What OpenRouter says of its calls."""
    return Report("openrouter", "openrouter generations")


def read(file: File) -> Items:
    """A call for each generation."""
    yield from each(_answers(file), _call)


def _answers(file: File) -> Iterable[Any]:
    try:
        found = file.json
    except PayloadRefused:
        return file.lines()
    return found if isinstance(found, list) else [found]


def _is_generation(answer: Any) -> bool:
    if isinstance(answer, Line):
        try:
            answer = _read(answer)
        except PayloadRefused:
            return False
    data = answer.get("data") if isinstance(answer, dict) else None
    return isinstance(data, dict) and {"id", "total_cost", "native_tokens_prompt"} <= data.keys()


def _read(line: Line) -> Any:
    if line.text is None:
        raise PayloadRefused(line.reason)
    return read_json(line.text) if line.text.strip() else None


def _call(answer: Any) -> Iterator[Call]:
    if isinstance(answer, Line) and (answer := _read(answer)) is None:
        return  # an empty line
    data = answer.get("data")
    if data is None and "error" in answer:
        raise PayloadRefused(f"the answer is an error ({_told(answer['error'])}): ask for the generation again")
    if not isinstance(data.get("id"), str) or not data["id"]:
        raise PayloadRefused("the generation has no id")
    prompt, cached = (count(data.get(name), name) for name in ("native_tokens_prompt", "native_tokens_cached"))
    if cached > prompt:
        raise PayloadRefused(f"native_tokens_cached is {cached}, more than native_tokens_prompt, which is {prompt}")
    yield Call(
        key=data["id"],
        run="openrouter",
        at=moment(data.get("created_at"), "created_at"),
        model=None if data.get("model") is None else str(data["model"]),
        input_tokens=prompt - cached,
        output_tokens=count(data.get("native_tokens_completion"), "native_tokens_completion"),
        cache_read_tokens=cached,
        usd=None if data.get("total_cost") is None else dollars(data["total_cost"], "total_cost"),
    )


def _told(error: Any) -> str:
    return str(error.get("message") or error.get("code") if isinstance(error, dict) else error)[:100]
