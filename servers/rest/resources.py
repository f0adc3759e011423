"""How resources are declared: questions by GET, orders by POST, each with its shape and the problems it may have."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from .calls import ExactRoute
from .problems import MEDIA


class Problem(BaseModel):
    """What was wrong, and what to do (RFC 9457)."""

    type: str = Field(examples=["urn:mecris:problem:cycle-not-found"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    code: str = Field(description="Stable: programs may rely on it.", examples=["cycle-not-found"])
    detail: str = Field(examples=["there is no cycle 9 (there are: 1): `mecris budget cycle list` shows them"])
    request_id: str = Field(examples=["0b9d8f0c6f5f4b7e9d8e7c6b5a493827"])


WORDS = {
    400: "The request cannot be read.",
    401: "No token, or one that opens nothing.",
    403: "A token whose scope is too small.",
    404: "There is no such thing.",
    409: "A rule of the books says no as they stand.",
    408: "The body does not come.",
    413: "The body is too large.",
    415: "The body is no JSON, or does not say that it is.",
    422: "A value that makes no sense, or an idempotency key that was used for something else.",
    429: "Too many requests: `Retry-After` says when to come again.",
    503: "The books cannot be reached or written now.",
}


def problems(*codes: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a resource may answer with."""
    content = {MEDIA: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    found: dict[int | str, dict[str, Any]] = {code: {"description": WORDS[code], "content": content} for code in codes}
    if 429 in found:
        found[429]["headers"] = {"Retry-After": {"schema": {"type": "string"}, "description": "Seconds."}}
    return found


ASKED = problems(400, 401, 403, 404, 409, 422, 429, 503)
ORDERED = problems(400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503)
REPLAYED = {
    "Idempotency-Replayed": {"schema": {"type": "string"}, "description": "`true`: this is the first answer again."}
}
LOCATION = {"Location": {"schema": {"type": "string"}, "description": "Where what was made can be asked for."}}
Declared = Callable[[Callable[..., Any]], Callable[..., Any]]


class Router(APIRouter):
    """Resources of one kind."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(route_class=ExactRoute, **kwargs)

    def ask(self, path: str, shape: Any, **more: Any) -> Declared:
        """A question: it changes nothing."""
        told: dict[int | str, dict[str, Any]] = {200: {"model": shape, "description": "The answer."}}
        return self.get(path, response_model=None, responses={**ASKED, **told}, **more)

    def order(self, path: str, shape: Any, status: int = 200, **more: Any) -> Declared:
        """An order: it is on disk when it is answered."""
        told: dict[int | str, dict[str, Any]] = {
            status: {
                "model": shape,
                "description": "Done, durably.",
                "headers": REPLAYED | (LOCATION if status in (201, 202) else {}),
            }
        }
        return self.post(path, status_code=status, response_model=None, responses={**ORDERED, **told}, **more)
