"""Refusals as problem documents (RFC 9457): a stable `code`, a sentence that says what to do, and no stack trace."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

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
VALUES = {"name", "no-reason", "no-type", "currency", "tokens", "too-long", "month", "not-utf-8", "batch", "key"}
"""Codes of rules that are about a value and not about how the books stand."""


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
    if error.code in VALUES:
        return 422
    return next(status for kind, status in STATUS if isinstance(error, kind))


def of_error(error: MecrisError, request_id: str) -> Response:
    """The problem document of an error."""
    return problem(status_of(error), error.code, error.message, request_id)


def of_validation(errors: list[Mapping[str, Any]], request_id: str) -> Response:
    """A body or a parameter that is not what the resource takes; what was sent is not repeated."""
    told = [{"where": ".".join(map(str, e["loc"])), "message": str(e["msg"])} for e in errors]
    if any(e["type"] == "json_invalid" for e in errors):
        return problem(400, "not-json", "the body is not JSON: see where it breaks off", request_id, errors=told)
    first = f"{told[0]['where']}: {told[0]['message']}"
    return problem(422, "invalid", f"the request is not what this resource takes: {first}", request_id, errors=told)
