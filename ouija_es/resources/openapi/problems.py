"""Components/responses: every error there is, written by the code that writes errors."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import falcon.asgi
import msgspec

from ouija_es.errors import (
    ErasedQuestion,
    FieldError,
    InvalidRequest,
    KeyInFlight,
    KeyReused,
    MalformedRequest,
    NotAcceptable,
    Overloaded,
    RequestError,
    SlowBody,
    StoreUnavailable,
    StoreUnreadable,
    TooLarge,
    TooManyRequests,
    TooManyWrongTokens,
    UnknownQuestion,
    UnknownSession,
    UnsupportedMediaType,
    WrongToken,
)
from ouija_es.resources.openapi.examples import TRACE_ID
from ouija_es.resources.openapi.headers import HEADERS, header_refs
from ouija_es.resources.openapi.schemas import PREFIX, Schema
from ouija_es.resources.problem import MEDIA_TYPE, write_problem, write_request_error

COMPONENT = "#/components/responses/"
EVERYWHERE = ("MethodNotAllowed", "Bug")

_OF_THE_TREE: tuple[RequestError, ...] = (
    MalformedRequest("The body is not a JSON object in UTF-8."),
    WrongToken("This route wants the audit token."),
    UnknownSession("Leave sessionId out to open a new session."),
    UnknownQuestion("No question with this id is recorded."),
    NotAcceptable("This route answers application/json or text/event-stream."),
    SlowBody("The request must be complete within 5 s."),
    KeyInFlight("Wait for the first request to end.", retry_after_seconds=1),
    ErasedQuestion("Its texts are gone for good."),
    TooLarge("A request may have at most 16384 bytes."),
    UnsupportedMediaType("Send the question as application/json in UTF-8."),
    InvalidRequest(
        "See errors for what is wrong where.",
        errors=(
            FieldError("question", "must not be empty"),
            FieldError("personality", "Input should be 'wise', 'cryptic', 'dark' or 'playful'"),
        ),
    ),
    KeyReused("Use a new key for a new request."),
    TooManyRequests("At most 60 questions a minute are answered from one address.", retry_after_seconds=1),
    TooManyWrongTokens(
        "At most 10 wrong tokens a minute are looked at from one address.",
        retry_after_seconds=6,
        headers={"RateLimit-Limit": "10", "RateLimit-Remaining": "0", "RateLimit-Reset": "60"},
    ),
    Overloaded(),
    StoreUnreadable("The record of earlier events cannot be read.", retry_after_seconds=5),
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


def problem_responses(known: dict[str, Problem], *names: str, headers: tuple[str, ...] = ()) -> dict[str, Schema]:
    """Status to response for these errors and those of every operation; errors that share a status share a response.

    `headers`: what the operation's own errors bring besides. Other responses of one error are components.
    """
    by_status: defaultdict[str, list[Problem]] = defaultdict(list)
    for name in names:
        by_status[str(known[name].body["status"])].append(known[name])
    told = {
        status: _component(same[0]) if len(same) == 1 and not headers else problem_response(*same, headers=headers)
        for status, same in by_status.items()
    }
    told |= {str(known[name].body["status"]): _component(known[name]) for name in EVERYWHERE}
    return dict(sorted(told.items()))


def _component(problem: Problem) -> Schema:
    return {"$ref": COMPONENT + problem.name}


def problem_response(*same: Problem, headers: tuple[str, ...] = ()) -> Schema:
    """The response for errors of one status."""
    types = [it.body["type"] for it in same]
    brought = [header for header in HEADERS if all(header in it.headers for it in same)]
    return {
        "description": "; ".join(it.body["title"] for it in same) + ".",
        "headers": header_refs("X-Trace-Id", *brought, *headers),
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
