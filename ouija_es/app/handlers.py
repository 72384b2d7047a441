"""Errors become HTTP here, and only here."""

from typing import Any

import falcon
import falcon.asgi
import structlog
from falcon.asgi import Request, Response

from ouija_es.errors import Overloaded, RequestError
from ouija_es.resources.problem import write_problem, write_request_error

log = structlog.get_logger()


async def on_request_error(req: Request, resp: Response, error: RequestError, params: dict[str, Any]) -> None:
    """A refusal of this service's own."""
    del params
    # A line for every ask that is shed would be load on top: the watch logs when that begins and ends.
    if error.status >= falcon.http_status_to_code(falcon.HTTP_500) and not isinstance(error, Overloaded):
        log.warning("request failed", kind=error.type, trace_id=req.context.trace_id, route=req.uri_template)
    if error.status >= falcon.http_status_to_code(falcon.HTTP_500) and req.context.span is not None:
        req.context.span.failed(error.type)
    write_request_error(resp, error, req.context.trace_id)


async def on_falcon_error(req: Request, resp: Response, error: falcon.HTTPError, params: dict[str, Any]) -> None:
    """One of Falcon's: no such route, another method."""
    del params
    for name, value in dict(error.headers or {}).items():
        resp.set_header(name, value)
    title = falcon.code_to_http_status(error.status_code).partition(" ")[2]
    write_problem(
        resp,
        status=error.status_code,
        kind=title.lower().replace(" ", "-"),
        title=title,
        detail=error.description or f"{title}.",
        trace_id=req.context.trace_id,
    )


async def on_bug(req: Request, resp: Response, error: Exception, params: dict[str, Any]) -> None:
    """Everything else is a bug."""
    del params
    # The traceback shows code, never values or messages: what was asked stays out of the log.
    log.error("bug", exc_info=error, trace_id=req.context.trace_id, route=req.uri_template)
    if req.context.span is not None:
        req.context.span.failed("bug")
    write_problem(
        resp,
        status=500,
        kind="bug",
        title="Internal Server Error",
        detail="Something is wrong with this service, and its operators can see it.",
        trace_id=req.context.trace_id,
    )
