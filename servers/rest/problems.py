"""Refusals as problem documents (RFC 9457): a stable `code`, a sentence that says what to do, and no stack trace."""

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from ...books.wording import for_programs, in_one, slips
from ...domain.errors import (
    AmountRefused,
    Busy,
    Conflict,
    Denied,
    Forbidden,
    KeyReused,
    MecrisError,
    NotFound,
    PayloadRefused,
    Refused,
    TimeRefused,
    Unavailable,
)

MEDIA = "application/problem+json"
STATUS: tuple[tuple[type[MecrisError], int], ...] = (
    (NotFound, 404),
    (Forbidden, 403),
    (Denied, 401),
    (AmountRefused, 422),
    (TimeRefused, 422),
    (PayloadRefused, 422),
    (KeyReused, 422),
    (Busy, 503),
    (Conflict, 409),
    (Refused, 409),
    (Unavailable, 503),
    (MecrisError, 500),
)
"""The status of an error: the first kind that it is of."""
CODES = {
    **dict.fromkeys(("not-json", "not-utf-8"), 400),
    "position-not-found": 404,
    **dict.fromkeys(("before-cycle", "before-run", "before-counter"), 409),
    **dict.fromkeys(
        (
            "amount-and-balance",
            "batch",
            "currency",
            "cursor",
            "key",
            "month",
            "name",
            "no-reason",
            "no-type",
            "nothing-said",
            "plug-amount",
            "rate",
            "thresholds",
            "tokens",
            "too-long",
        ),
        422,
    ),
}
"""Codes that say more than their kind: of rules about a value, whatever the books hold, and of moments that depend on the books."""


def problem(status: int, code: str, detail: str, request_id: str, **more: Any) -> Response:
    """A problem document."""
    body = {
        "type": f"urn:mecris:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": request_id,
        **more,
    }
    headers = {"WWW-Authenticate": 'Bearer realm="mecris"'} if status == 401 else {}
    return Response(json.dumps(body, ensure_ascii=False) + "\n", status, headers, MEDIA)


def status_of(error: MecrisError) -> int:
    """The status that says most about an error."""
    return CODES.get(error.code) or next(status for kind, status in STATUS if isinstance(error, kind))


def of_error(error: MecrisError, request_id: str) -> Response:
    """The problem document of an error."""
    return problem(status_of(error), error.code, for_programs(error.message), request_id)


def of_validation(errors: Sequence[Mapping[str, Any]], request_id: str) -> Response:
    """A body or a parameter that is not what the resource takes; what was sent is not repeated."""
    told = [(where.removeprefix("body."), what) for where, what in slips(errors)]
    if told == [("body", "is missing")]:
        return problem(400, "no-body", "the body is empty: send a JSON object", request_id)
    found = [{"where": where, "message": what} for where, what in told]
    detail = f"the request is not what this resource takes: {in_one(told)}"
    return problem(422, "invalid", detail, request_id, errors=found)
