"""Errors as `application/problem+json` (RFC 9457)."""

from typing import Any

import falcon
import msgspec

from ouija_es.errors import FieldError, RequestError

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:ouija-es:problem:"


def write_problem(
    resp: falcon.Response,
    *,
    status: int,
    kind: str,
    title: str,
    detail: str,
    trace_id: str,
    errors: tuple[FieldError, ...] = (),
) -> None:
    """Makes `resp` a problem; `kind` is the last part of its `type`."""
    resp.status = status
    resp.content_type = MEDIA_TYPE
    resp.text = None
    resp.data = msgspec.json.encode(_problem(status, kind, title, detail, trace_id, errors))


def problem_body(error: RequestError, trace_id: str) -> dict[str, Any]:
    """A RequestError as a problem object."""
    return _problem(error.status, error.type, error.title, error.detail, trace_id, error.errors)


def _problem(
    status: int, kind: str, title: str, detail: str, trace_id: str, errors: tuple[FieldError, ...]
) -> dict[str, Any]:
    problem: dict[str, Any] = {
        "type": TYPE_PREFIX + kind,
        "title": title,
        "status": status,
        "detail": detail,
        "traceId": trace_id,
    }
    if errors:
        problem["errors"] = [{"field": error.field, "message": error.message} for error in errors]
    return problem


def write_request_error(resp: falcon.Response, error: RequestError, trace_id: str) -> None:
    """The problem that a RequestError stands for, with the headers its status wants."""
    for name, value in error.headers.items():
        resp.set_header(name, value)
    if error.retry_after_seconds is not None:
        resp.set_header("Retry-After", str(error.retry_after_seconds))
    if error.status == falcon.http_status_to_code(falcon.HTTP_401):
        resp.set_header("WWW-Authenticate", 'Bearer realm="ouija_es"')
    write_problem(
        resp,
        status=error.status,
        kind=error.type,
        title=error.title,
        detail=error.detail,
        trace_id=trace_id,
        errors=error.errors,
    )
