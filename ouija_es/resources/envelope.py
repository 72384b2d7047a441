"""What every request and response carries: the trace id in, security headers and the trace id out."""

import re

from falcon.asgi import Request, Response

from ouija_es.entropy import random_bytes

# https://www.w3.org/TR/trace-context/#traceparent-header; a malformed one is ignored, as the recommendation wants.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}
_SECURITY_HEADERS = list(SECURITY_HEADERS.items())


class Envelope:
    """Falcon middleware; `req.context.trace_id` is there for every responder and error handler."""

    async def process_request(self, req: Request, resp: Response) -> None:
        """The caller's trace goes on here, or a new one begins."""
        header = req.get_header("traceparent")
        match = _TRACEPARENT.fullmatch(header) if header else None
        req.context.trace_id = match[1] if match else random_bytes(16).hex()
        # Before the responder, whose own headers win.
        resp.set_headers(_SECURITY_HEADERS)
        resp.set_header("X-Trace-Id", req.context.trace_id)
