"""The paths for those who operate the service: /metrics and /dashboard."""

from ouija_es.resources.dashboard_page import FILES
from ouija_es.resources.openapi import examples
from ouija_es.resources.openapi.headers import IF_NONE_MATCH, TRACEPARENT, header_refs
from ouija_es.resources.openapi.problems import Problem, problem_responses
from ouija_es.resources.openapi.reading import files_of, with_head
from ouija_es.resources.openapi.schemas import PREFIX, Schema

SECURITY: list[dict[str, list[str]]] = [{}, {"metricsToken": []}, {"auditToken": []}]
"""Without METRICS_TOKEN no token is wanted."""

AS_OF: Schema = {
    "name": "as_of",
    "in": "query",
    "description": "A position of the log, or an RFC 3339 time with its offset: the numbers as they stood then. "
    "Wants a token; without METRICS_TOKEN and AUDIT_TOKEN it is a 404.",
    "schema": {
        "anyOf": [{"type": "string", "pattern": "^[0-9]{1,19}$"}, {"type": "string", "format": "date-time"}],
    },
    "examples": {"position": {"value": "7"}, "time": {"value": "2026-01-31T12:00:00Z"}},
}


def operation_paths(problems: dict[str, Problem]) -> Schema:
    """Path to path item."""
    text = {"schema": {"type": "string"}}
    metrics = {"text/plain": text, "application/openmetrics-text": text}
    numbers = {
        "application/json": {"schema": {"$ref": PREFIX + "Dashboard"}, "examples": examples.dashboard()},
        "text/html": text,
    }
    return {
        "/metrics": {
            "get": {
                "operationId": "getMetrics",
                "tags": ["operation"],
                "summary": "Everything that is counted, for Prometheus",
                "description": "Prometheus text, or OpenMetrics where `Accept` asks for it.",
                "security": SECURITY,
                "parameters": [TRACEPARENT],
                "responses": {
                    "200": _ok("All series.", metrics),
                    **problem_responses(problems, "WrongToken", "TooManyWrongTokens"),
                },
            }
        },
        "/dashboard": with_head(
            {
                "operationId": "getDashboard",
                "tags": ["operation"],
                "summary": "The service in numbers",
                "description": "JSON; where `Accept` prefers HTML a page that shows it, to anybody, as it holds no "
                "numbers and asks for them, and for a token, itself.",
                "security": SECURITY,
                "parameters": [AS_OF, IF_NONE_MATCH, TRACEPARENT],
                "responses": {
                    "200": _ok("The numbers.", numbers),
                    "304": {"description": "The client has the page already.", "headers": header_refs("X-Trace-Id")},
                    **problem_responses(
                        problems, "MalformedRequest", "WrongToken", "TooManyWrongTokens", "NotFound", "StoreUnreadable"
                    ),
                },
            }
        ),
        "/dashboard/{file}": with_head(
            files_of(
                "DashboardFile",
                "What the dashboard's page loads",
                FILES,
                problem_responses(problems, "NotFound"),
                tag="operation",
            )
        ),
    }


def _ok(description: str, content: Schema) -> Schema:
    return {"description": description, "headers": header_refs("X-Trace-Id"), "content": content}
