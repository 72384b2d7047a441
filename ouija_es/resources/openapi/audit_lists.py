"""The paths of the audit API's lists: /audit/sessions and /audit/events."""

from ouija_es.projections.sessions import SessionRow
from ouija_es.resources.audit_lists import (
    EVENTS_LIMIT,
    MEDIA_NDJSON,
    SESSIONS_DEFAULT,
    SESSIONS_LIMIT,
    sessions_body,
)
from ouija_es.resources.openapi.examples import QUESTIONS, SESSION, Examples, example
from ouija_es.resources.openapi.headers import TRACEPARENT, header_refs
from ouija_es.resources.openapi.histories import answered_by_table
from ouija_es.resources.openapi.problems import Problem, problem_responses
from ouija_es.resources.openapi.schemas import PREFIX, Schema
from ouija_es.resources.paging import CURSOR, LATEST_POSITION
from ouija_es.store.cloudevents import to_line
from ouija_es.store.ledger import GENESIS, LogRow, link
from ouija_es.store.mapper import to_row

ERRORS = ("WrongToken", "TooManyWrongTokens", "NotFound", "InvalidRequest", "StoreUnreadable")
SECURITY: list[dict[str, list[str]]] = [{"auditToken": []}]


def list_paths(problems: dict[str, Problem]) -> Schema:
    """Path to path item."""
    sessions = {
        "description": "The page.",
        "headers": header_refs("X-Trace-Id"),
        "content": {"application/json": {"schema": {"$ref": PREFIX + "SessionPage"}, "examples": _pages()}},
    }
    events = {
        "description": "The lines; none behind the end of the log.",
        "headers": header_refs("X-Trace-Id", "Link"),
        "content": {
            MEDIA_NDJSON: {
                "schema": {
                    "type": "string",
                    "contentMediaType": MEDIA_NDJSON,
                    "contentSchema": {"type": "array", "items": {"$ref": PREFIX + "CloudEvent"}},
                },
                "examples": _lines(),
            }
        },
    }
    return {
        "/audit/sessions": {
            "get": {
                "operationId": "getSessions",
                "tags": ["audit"],
                "summary": "The sessions, newest first",
                "description": "Page by page: `next` is the cursor of what follows. Every read is logged.",
                "security": SECURITY,
                "parameters": [
                    _query("cursor", "The `next` of an earlier page.", {"type": "string", "pattern": f"^{CURSOR}$"}),
                    _limit(SESSIONS_LIMIT, SESSIONS_DEFAULT),
                    TRACEPARENT,
                ],
                "responses": {"200": sessions, **problem_responses(problems, *ERRORS)},
            }
        },
        "/audit/events": {
            "get": {
                "operationId": "getEvents",
                "tags": ["audit"],
                "summary": "The log, in order, as CloudEvents",
                "description": "One CloudEvents 1.0 JSON object a line. Nothing is left out; what is sealed stays "
                "sealed. Every read is logged.",
                "security": SECURITY,
                "parameters": [
                    _query(
                        "after",
                        "The position behind which to begin.",
                        {"type": "integer", "minimum": 0, "maximum": LATEST_POSITION, "default": 0},
                    ),
                    _limit(EVENTS_LIMIT, EVENTS_LIMIT),
                    TRACEPARENT,
                ],
                "responses": {"200": events, **problem_responses(problems, *ERRORS)},
            }
        },
    }


def _limit(most: int, default: int) -> Schema:
    schema = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    return _query("limit", "How many at most.", schema)


def _query(name: str, description: str, schema: Schema) -> Schema:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _pages() -> Examples:
    at = "2026-01-31T12:00:00Z"
    row = SessionRow(str(SESSION), 3, at, "2026-01-31T12:00:30Z", 2, None)
    return {
        "last": example("The last page", sessions_body([row], 1)),
        "more": example(
            "There are older ones; this one's texts are erased", sessions_body([row._replace(erased_at=at)] * 2, 1)
        ),
    }


def _lines() -> Examples:
    lines, before = [], GENESIS
    for version, event in enumerate(answered_by_table(), 1):
        row = to_row(QUESTIONS[0], version, event)
        before = link(before, version, QUESTIONS[0].hex, version, row.topic, row.state)
        lines.append(to_line(LogRow(version, QUESTIONS[0].hex, version, row.topic, row.state, before)).decode())
    return {"question": example("A question's events", "".join(lines))}
