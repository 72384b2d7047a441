"""Paths: every route with every method."""

from ouija_es.resources.docs import FILES
from ouija_es.resources.openapi import examples
from ouija_es.resources.openapi.problems import Problem, header_refs, problem_responses
from ouija_es.resources.openapi.schemas import PREFIX, Schema

JSON = "application/json"
AUDIT: list[dict[str, list[str]]] = [{"auditToken": []}]

TRACEPARENT: Schema = {
    "name": "traceparent",
    "in": "header",
    "description": "The caller's trace (W3C Trace Context), which goes on here; a malformed one is ignored.",
    # Not the parameter's own example: Swagger UI would send that one with every request.
    "schema": {"type": "string", "examples": [f"00-{examples.TRACE_ID}-00f067aa0ba902b7-01"]},
}
ACCEPT_LANGUAGE: Schema = {
    "name": "Accept-Language",
    "in": "header",
    "description": "Decides where the body has no `language`.",
    "schema": {"type": "string"},
    "example": "es-ES,es;q=0.9,en;q=0.8",
}
IF_NONE_MATCH: Schema = {
    "name": "If-None-Match",
    "in": "header",
    "description": "ETags the client has; 304 if one of them is still right.",
    "schema": {"type": "string", "examples": ['"0f343b0931126a20f133d67c2b018a3b-gzip"']},
}


def paths(problems: dict[str, Problem]) -> Schema:
    """Path to path item."""
    return {
        "/": _with_head(_index(problems)),
        "/ouija/ask": {"post": _ask(problems)},
        **{path: _with_head(get) for path, get in _health(problems).items()},
        **_audit(problems),
        **{path: _with_head(get) for path, get in _docs(problems).items()},
    }


def _with_head(get: Schema) -> Schema:
    """GET, and HEAD as GET without bodies."""
    responses = {
        status: {key: value for key, value in response.items() if key != "content"}
        for status, response in get["responses"].items()
    }
    return {"get": get, "head": {**get, "operationId": f"head{get['operationId'][3:]}", "responses": responses}}


def _ask(problems: dict[str, Problem]) -> Schema:
    answered = _json("The answer. It is recorded.", "AnswerBody", examples.answers())
    answered["headers"] |= header_refs("Server-Timing", "Content-Language")
    by_session = {"sessionId": "$response.body#/sessionId"}
    answered["links"] = {
        "sessionHistory": {"operationId": "getSessionHistory", "parameters": by_session},
        "questionHistory": {
            "operationId": "getQuestionHistory",
            "parameters": {"questionId": "$response.body#/questionId"},
        },
    }
    return {
        "operationId": "ask",
        "tags": ["ouija"],
        "summary": "Ask the spirit",
        "description": "Groq is asked, then Ollama, then the table of canned answers, which always has one: that every "
        "provider fails is not an error. The answer leaves only once it is recorded. Questions about suicide or "
        "self-harm are answered at once, out of character, with help lines.\n\n"
        "At most 16 KiB, complete within 5 s. 503 means that the answer was not recorded in time.",
        "parameters": [ACCEPT_LANGUAGE, TRACEPARENT],
        "requestBody": {
            "required": True,
            "description": "The question.",
            "content": {JSON: {"schema": {"$ref": PREFIX + "AskRequest"}, "examples": examples.requests()}},
        },
        "responses": {
            "200": answered,
            **problem_responses(
                problems,
                "MalformedRequest",
                "UnknownSession",
                "NotAcceptable",
                "SlowBody",
                "TooLarge",
                "UnsupportedMediaType",
                "InvalidRequest",
                "StoreUnavailable",
            ),
        },
    }


def _health(problems: dict[str, Problem]) -> Schema:
    ok, critical = examples.health()
    return {
        "/health": {
            "operationId": "getHealth",
            "tags": ["health"],
            "summary": "The service's health and what it rests on",
            "description": "From evidence already there: no provider is called.",
            "parameters": [TRACEPARENT],
            "responses": {
                "200": _json("Answers can be given and recorded.", "Health", ok),
                "503": _json("Events cannot be recorded.", "Health", critical),
                **problem_responses(problems),
            },
        },
        "/health/live": {
            "operationId": "getLive",
            "tags": ["health"],
            "summary": "Whether the process runs",
            "parameters": [TRACEPARENT],
            "responses": {
                "200": _json("It runs.", "Live", examples.status("ok")),
                **problem_responses(problems),
            },
        },
        "/health/ready": {
            "operationId": "getReady",
            "tags": ["health"],
            "summary": "Whether the process answers",
            "parameters": [TRACEPARENT],
            "responses": {
                "200": _json("It answers.", "Ready", examples.status("ok")),
                "503": _json("It starts or stops.", "Ready", examples.status("starting", "draining")),
                **problem_responses(problems),
            },
        },
    }


def _audit(problems: dict[str, Problem]) -> Schema:
    session, question = examples.histories()
    return {
        "/audit/sessions/{sessionId}": {
            "get": {
                "operationId": "getSessionHistory",
                "tags": ["audit"],
                "summary": "A session's questions, each with its events",
                "description": "Texts in the clear unless erased. Every read is logged.",
                "security": AUDIT,
                "parameters": [_id("sessionId", "The session.", str(examples.SESSION)), TRACEPARENT],
                "responses": {
                    "200": _json("The history.", "SessionHistory", session),
                    **problem_responses(problems, "WrongToken", "UnknownSession", "NotFound"),
                },
            }
        },
        "/audit/questions/{questionId}": {
            "get": {
                "operationId": "getQuestionHistory",
                "tags": ["audit"],
                "summary": "One question with its events",
                "description": "Texts in the clear unless erased. Every read is logged.",
                "security": AUDIT,
                "parameters": [_id("questionId", "The question.", str(examples.QUESTIONS[0])), TRACEPARENT],
                "responses": {
                    "200": _json("The history.", "QuestionHistory", question),
                    **problem_responses(problems, "WrongToken", "UnknownQuestion", "NotFound"),
                },
            }
        },
    }


def _index(problems: dict[str, Problem]) -> Schema:
    response = _json("What this is, and where to go.", "Index", examples.index())
    response["content"]["text/html"] = {"schema": {"type": "string"}}
    return {
        "operationId": "getIndex",
        "tags": ["description"],
        "summary": "An index",
        "description": "JSON with links; a page where `Accept` prefers HTML.",
        "parameters": [TRACEPARENT],
        "responses": {"200": response, **problem_responses(problems)},
    }


def _docs(problems: dict[str, Problem]) -> Schema:
    media_types = sorted({media_type.partition(";")[0] for media_type in FILES.values()})
    file = {
        "name": "file",
        "in": "path",
        "required": True,
        "description": "The file's name.",
        "schema": {"type": "string", "enum": list(FILES)},
        "example": next(iter(FILES)),
    }
    return {
        "/api/openapi.json": _kept("OpenApi", "This document", [JSON], problem_responses(problems), {"type": "object"}),
        "/api/docs": _kept("Docs", "This document for people: Swagger UI", ["text/html"], problem_responses(problems)),
        "/api/docs/{file}": _kept(
            "DocsFile", "What that page loads", media_types, problem_responses(problems, "NotFound"), parameters=[file]
        ),
    }


def _kept(
    name: str,
    summary: str,
    media_types: list[str],
    errors: Schema,
    schema: Schema | None = None,
    parameters: list[Schema] | None = None,
) -> Schema:
    """Something that clients may keep."""
    headers = header_refs("X-Trace-Id", "ETag", "Cache-Control")
    content = {media_type: {"schema": schema or {"type": "string"}} for media_type in media_types}
    return {
        "operationId": f"get{name}",
        "tags": ["description"],
        "summary": summary,
        "parameters": [*(parameters or []), IF_NONE_MATCH, TRACEPARENT],
        "responses": {
            "200": {"description": f"{summary}.", "headers": headers, "content": content},
            "304": {"description": "The client has it already.", "headers": headers},
            **errors,
        },
    }


def _json(description: str, schema: str, given: examples.Examples) -> Schema:
    return {
        "description": description,
        "headers": header_refs("X-Trace-Id"),
        "content": {JSON: {"schema": {"$ref": PREFIX + schema}, "examples": given}},
    }


def _id(name: str, description: str, example: str) -> Schema:
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string", "format": "uuid"},
        "example": example,
    }
