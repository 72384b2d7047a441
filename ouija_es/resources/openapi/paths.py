"""Paths: every route with every method."""

from ouija_es.resources.docs import FILES
from ouija_es.resources.openapi import examples, histories
from ouija_es.resources.openapi.asking import ask
from ouija_es.resources.openapi.audit_lists import list_paths
from ouija_es.resources.openapi.headers import TRACEPARENT, header_refs
from ouija_es.resources.openapi.operation import operation_paths
from ouija_es.resources.openapi.problems import Problem, problem_responses
from ouija_es.resources.openapi.reading import files_of, kept, with_head
from ouija_es.resources.openapi.schemas import PREFIX, Schema

JSON = "application/json"
AUDIT: list[dict[str, list[str]]] = [{"auditToken": []}]
ERASURE: list[dict[str, list[str]]] = [{"erasureToken": []}]


def paths(problems: dict[str, Problem]) -> Schema:
    """Path to path item."""
    return {
        "/": with_head(_index(problems)),
        "/ouija/ask": {"post": ask(problems)},
        **{path: with_head(get) for path, get in _health(problems).items()},
        **operation_paths(problems),
        "/ouija/sessions/{sessionId}": {"delete": _erase(problems, "eraseSession", "ouija")},
        "/audit/proof": with_head(_proof(problems)),
        **list_paths(problems),
        **_audit(problems),
        **{path: with_head(get) for path, get in _docs(problems).items()},
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
    session, question = histories.histories()
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
                    **problem_responses(
                        problems, "WrongToken", "TooManyWrongTokens", "UnknownSession", "NotFound", "StoreUnreadable"
                    ),
                },
            },
            "delete": _erase(
                problems, "eraseSessionByOperator", "audit", "WrongToken", "TooManyWrongTokens", security=ERASURE
            ),
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
                    **problem_responses(
                        problems, "WrongToken", "TooManyWrongTokens", "UnknownQuestion", "NotFound", "StoreUnreadable"
                    ),
                },
            }
        },
    }


def _proof(problems: dict[str, Problem]) -> Schema:
    return {
        "operationId": "getProof",
        "tags": ["audit"],
        "summary": "The ledger's head and its last seal",
        "description": "Keep it elsewhere: whoever has it can tell later whether the log is the same up to there.",
        "security": [],
        "parameters": [TRACEPARENT],
        "responses": {
            "200": _json("The head.", "Proof", examples.proof()),
            **problem_responses(problems),
        },
    }


def _erase(problems: dict[str, Problem], name: str, tag: str, *errors: str, **more: object) -> Schema:
    headers = header_refs("X-Trace-Id")
    return {
        "operationId": name,
        "tags": [tag],
        "summary": "Erase a session's texts for good",
        "description": "Its key is destroyed. Again is as good as once.",
        **more,
        "parameters": [_id("sessionId", "The session.", str(examples.SESSION)), TRACEPARENT],
        "responses": {
            "202": {"description": "Erased; the last copy of the key is being flushed out.", "headers": headers},
            "204": {"description": "Erased.", "headers": headers},
            **problem_responses(problems, *errors, "UnknownSession", "NotFound", "StoreUnreadable", "StoreUnavailable"),
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
    return {
        "/api/openapi.json": kept("OpenApi", "This document", [JSON], problem_responses(problems), {"type": "object"}),
        "/api/docs": kept("Docs", "This document for people: Swagger UI", ["text/html"], problem_responses(problems)),
        "/api/docs/{file}": files_of(
            "DocsFile", "What that page loads", FILES, problem_responses(problems, "NotFound")
        ),
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
