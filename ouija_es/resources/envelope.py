"""What every request and response carries: the trace id in, security headers and the trace id out."""

import os
import re

import structlog
from falcon import ResponseOptions
from falcon.asgi import Request, Response

from ouija_es.telemetry.tracing import RequestSpan, Tracer

# https://www.w3.org/TR/trace-context/#traceparent-header; a malformed one is ignored, as the recommendation wants.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")

SPAN = "ouija_es.span"
"""Where the connection finds the span that ends with it."""

SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}
"""Names as Falcon and the server keep them, in lower case."""


class EnvelopedResponse(Response):
    """A response that has the security headers from its start; a responder's own win."""

    def __init__(self, options: ResponseOptions | None = None) -> None:
        super().__init__(options)
        self._headers.update(SECURITY_HEADERS)  # `set_headers` looks at each of them, for every request


class Envelope:
    """Falcon middleware; `req.context.trace_id` and `.span` are there for every responder and error handler."""

    def __init__(self, tracer: Tracer | None) -> None:
        self._tracer = tracer

    async def process_request(self, req: Request, resp: Response) -> None:
        """The caller's trace goes on here, or a new one begins."""
        header = req.get_header("traceparent")
        match = _TRACEPARENT.fullmatch(header) if header else None
        if self._tracer is None:
            req.context.span = None
            req.context.trace_id = match[1] if match else os.urandom(16).hex()
        else:
            span = self._tracer.request(req.method, header if match else None, req.get_header("tracestate"))
            req.context.span = req.scope[SPAN] = span
            req.context.trace_id = span.trace_id
            structlog.contextvars.bind_contextvars(span_id=span.span_id)  # a request has a task of its own
        resp.set_header("X-Trace-Id", req.context.trace_id)

    async def process_response(self, req: Request, resp: Response, resource: object, req_succeeded: bool) -> None:  # noqa: FBT001 - Falcon's
        """Route and status are known: the span gets its name. It ends with the last byte, see `connection.App`."""
        del resource, req_succeeded
        span: RequestSpan | None = req.context.span
        if span is not None:
            span.responded(req.uri_template, resp.status_code)
