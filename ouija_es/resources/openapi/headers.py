"""Headers: what a request may bring, as parameters, and what a response brings, as components."""

from ouija_es.resources.openapi.examples import TRACE_ID
from ouija_es.resources.openapi.schemas import PREFIX, Schema

# Examples stand in the schemas, not as the parameters' own: Swagger UI would send those with every request.
TRACEPARENT: Schema = {
    "name": "traceparent",
    "in": "header",
    "description": "The caller's trace (W3C Trace Context), which goes on here; a malformed one is ignored.",
    "schema": {"type": "string", "examples": [f"00-{TRACE_ID}-00f067aa0ba902b7-01"]},
}
IF_NONE_MATCH: Schema = {
    "name": "If-None-Match",
    "in": "header",
    "description": "ETags the client has; 304 if one of them is still right.",
    "schema": {"type": "string", "examples": ['"0f343b0931126a20f133d67c2b018a3b-gzip"']},
}
IDEMPOTENCY_KEY: Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Long and random, new for every question, the same when it is sent again: whatever was lost on the "
    "way, it is asked once. The key is its own scope, so whoever knows it and the request gets the answer; kept 24 h.",
    # 16 to 255 characters. Spaces around a header's value do not belong to it (RFC 9110 §5.5).
    "schema": {
        "type": "string",
        "pattern": "^[!-~][ -~]{14,253}[!-~]$",
        "examples": ["5f0f1f0e-8a47-4b6e-9d4c-6f3f4f1f6a53"],
    },
}
ACCEPT_LANGUAGE: Schema = {
    "name": "Accept-Language",
    "in": "header",
    "description": "Decides where the body has no `language`.",
    "schema": {"type": "string"},
    "example": "es-ES,es;q=0.9,en;q=0.8",
}

RATE_LIMIT = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")

HEADERS: dict[str, Schema] = {
    "X-Trace-Id": {
        "description": "The W3C trace id: of the request's `traceparent`, else a new one.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "example": TRACE_ID,
    },
    "Server-Timing": {
        "description": "One entry per attempt, and `record` for the event store; `dur` in milliseconds. Not with a "
        "stream, which begins before there is anything to tell.",
        "schema": {"type": "string"},
        "example": 'groq;dur=405;desc="answered", record;dur=3.1',
    },
    "Content-Language": {
        "description": "The language of the answer.",
        "required": True,
        "schema": {"$ref": PREFIX + "Language"},
        "example": "es",
    },
    "Idempotency-Replayed": {
        "description": "Only with an answer that was stored for an earlier request with the same key.",
        "schema": {"type": "string", "const": "true"},
        "example": "true",
    },
    "RateLimit-Limit": {
        "description": "How many questions, or wrong tokens, one address may send in a minute. The three are absent "
        "only where nothing is limited.",
        "schema": {"type": "integer", "minimum": 1},
        "example": 60,
    },
    "RateLimit-Remaining": {
        "description": "How many may follow at once.",
        "schema": {"type": "integer", "minimum": 0},
        "example": 59,
    },
    "RateLimit-Reset": {
        "description": "Seconds until all of them may again.",
        "schema": {"type": "integer", "minimum": 0},
        "example": 1,
    },
    "Retry-After": {
        "description": "Seconds after which a new try makes sense.",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
        "example": 5,
    },
    "Allow": {
        "description": "The methods of this path.",
        "required": True,
        "schema": {"type": "string"},
        "example": "POST, OPTIONS",
    },
    "WWW-Authenticate": {
        "description": "The scheme that is wanted (RFC 6750).",
        "required": True,
        "schema": {"type": "string"},
        "example": 'Bearer realm="ouija_es"',
    },
    "Link": {
        "description": "Where the log goes on; absent if it does not.",
        "schema": {"type": "string"},
        "example": '</audit/events?after=1000&limit=1000>; rel="next"',
    },
    "ETag": {
        "description": "For `If-None-Match`.",
        "required": True,
        "schema": {"type": "string", "pattern": '^"[0-9a-f]{32}(-gzip)?"$'},
        "example": '"0f343b0931126a20f133d67c2b018a3b-gzip"',
    },
    "Cache-Control": {
        "description": "How long it may be kept.",
        "required": True,
        "schema": {"type": "string"},
        "example": "public, max-age=3600",
    },
}


def header_refs(*names: str) -> Schema:
    """References to HEADERS."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
