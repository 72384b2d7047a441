"""Components/responses: every error there is, written by the code that writes errors."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import falcon.asgi
import msgspec

from ouija_es.errors import (
    FieldError,
    InvalidRequest,
    MalformedRequest,
    NotAcceptable,
    RequestError,
    SlowBody,
    StoreUnavailable,
    TooLarge,
    UnknownQuestion,
    UnknownSession,
    UnsupportedMediaType,
    WrongToken,
)
from ouija_es.resources.openapi.examples import TRACE_ID
from ouija_es.resources.openapi.schemas import PREFIX, Schema
from ouija_es.resources.problem import MEDIA_TYPE, write_problem, write_request_error

EVERYWHERE = ("MethodNotAllowed", "Bug")

HEADERS: dict[str, Schema] = {
    "X-Trace-Id": {
        "description": "The W3C trace id: of the request's `traceparent`, else a new one.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "example": TRACE_ID,
    },
    "Server-Timing": {
        "description": "One entry per attempt, and `record` for the event store; `dur` in milliseconds.",
        "required": True,
        "schema": {"type": "string"},
        "example": 'groq;dur=405;desc="answered", record;dur=3.1',
    },
    "Content-Language": {
        "description": "The language of the answer.",
        "required": True,
        "schema": {"$ref": PREFIX + "Language"},
        "example": "es",
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

_OF_THE_TREE: tuple[RequestError, ...] = (
    MalformedRequest("The body is not a JSON object in UTF-8."),
    WrongToken("This route wants the audit token."),
    UnknownSession("Leave sessionId out to open a new session."),
    UnknownQuestion("No question with this id is recorded."),
    NotAcceptable("This route answers application/json."),
    SlowBody("The request must be complete within 5 s."),
    TooLarge("A request may have at most 16384 bytes."),
    UnsupportedMediaType("Send the question as application/json in UTF-8."),
    InvalidRequest(
        "See errors for what is wrong where.",
        errors=(
            FieldError("question", "must not be empty"),
            FieldError("personality", "Input should be 'wise', 'cryptic', 'dark' or 'playful'"),
        ),
    ),
    StoreUnavailable("busy"),
)
_OF_THE_FRAMEWORK = {
    "NotFound": (404, "not-found", "Not Found", "Not Found."),
    "MethodNotAllowed": (405, "method-not-allowed", "Method Not Allowed", "Method Not Allowed."),
    "Bug": (
        500,
        "bug",
        "Internal Server Error",
        "Something is wrong with this service, and its operators can see it.",
    ),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One error: its body as an example, and the headers it brings."""

    name: str
    body: dict[str, Any]
    headers: tuple[str, ...]


def problems() -> dict[str, Problem]:
    """Name to problem, every error the service tells a client."""
    written = {}
    for error in _OF_THE_TREE:
        resp = falcon.asgi.Response()
        write_request_error(resp, error, TRACE_ID)
        written[type(error).__name__] = resp
    for name, (status, kind, title, detail) in _OF_THE_FRAMEWORK.items():
        resp = falcon.asgi.Response()
        write_problem(resp, status=status, kind=kind, title=title, detail=detail, trace_id=TRACE_ID)
        if name == "MethodNotAllowed":
            resp.set_header("Allow", "")  # Falcon lists the path's methods
        written[name] = resp
    return {name: _problem(name, resp) for name, resp in written.items()}


def _problem(name: str, resp: falcon.asgi.Response) -> Problem:
    headers = tuple(header for header in HEADERS if resp.get_header(header) is not None)
    return Problem(name, msgspec.json.decode(resp.data or b""), headers)


def problem_responses(known: dict[str, Problem], *names: str) -> dict[str, Schema]:
    """Status to response for these errors; errors that share a status share a response."""
    by_status: defaultdict[str, list[Problem]] = defaultdict(list)
    for name in (*names, *EVERYWHERE):
        by_status[str(known[name].body["status"])].append(known[name])
    return {
        status: {"$ref": f"#/components/responses/{same[0].name}"} if len(same) == 1 else problem_response(*same)
        for status, same in sorted(by_status.items())
    }


def problem_response(*same: Problem) -> Schema:
    """The response for errors of one status."""
    types = [it.body["type"] for it in same]
    return {
        "description": "; ".join(it.body["title"] for it in same) + ".",
        "headers": header_refs("X-Trace-Id", *dict.fromkeys(header for it in same for header in it.headers)),
        "content": {
            MEDIA_TYPE: {
                "schema": {
                    "allOf": [
                        {"$ref": PREFIX + "Problem"},
                        {"properties": {"status": {"const": same[0].body["status"]}, "type": {"enum": types}}},
                    ]
                },
                "examples": {it.name: {"summary": it.body["title"], "value": it.body} for it in same},
            }
        },
    }


def header_refs(*names: str) -> Schema:
    """References to HEADERS."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
