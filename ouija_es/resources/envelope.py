"""What every request and response carries: the trace id in, security headers and the trace id out."""

import re
import secrets

from falcon.asgi import Request, Response

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


class Envelope:
    """Falcon middleware; `req.context.trace_id` is there for every responder and error handler."""

    async def process_request(self, req: Request, resp: Response) -> None:
        """The caller's trace goes on here, or a new one begins."""
        header = req.get_header("traceparent")
        match = _TRACEPARENT.fullmatch(header) if header else None
        req.context.trace_id = match[1] if match else secrets.token_hex(16)

    async def process_response(self, req: Request, resp: Response, resource: object, req_succeeded: bool) -> None:  # noqa: FBT001 - Falcon's signature
        """A responder's own header wins."""
        resp.set_header("X-Trace-Id", req.context.trace_id)
        for name, value in SECURITY_HEADERS.items():
            if resp.get_header(name) is None:
                resp.set_header(name, value)
