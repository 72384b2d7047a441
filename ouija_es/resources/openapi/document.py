"""The whole document."""

import re
from typing import Any

import msgspec

from ouija_es import __version__
from ouija_es.resources.openapi.headers import HEADERS
from ouija_es.resources.openapi.paths import paths
from ouija_es.resources.openapi.problems import COMPONENT, problem_response, problems
from ouija_es.resources.openapi.schemas import schemas

DESCRIPTION = """\
A virtual Ouija board's backend. *Pregunta al espíritu, en español o en inglés: siempre responde, y a tiempo.*

Every error is `application/problem+json` (RFC 9457), also for a path that is not here (404 `not-found`). \
Bytes that are no HTTP get a plain 400. Every answer carries `X-Trace-Id`. \
More keys may be added to bodies, none removed.
"""
TAGS = {
    "ouija": "Questions and answers.",
    "health": "Whether the service is well.",
    "operation": "The service in numbers: a fold of the log, and what only the process knows.",
    "audit": "What happened to a question, as it was written down. Without AUDIT_TOKEN these paths answer 404.",
    "description": "What there is.",
}


def document() -> dict[str, Any]:
    """OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.1) as builtin types."""
    known = problems()
    described = paths(known)
    shared = set(re.findall(rf'"{COMPONENT}(\w+)"', msgspec.json.encode(described).decode()))
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "ouija_es",
            "summary": "Ask the spirit in Spanish or English and always get an answer, in time.",
            "description": DESCRIPTION,
            "version": __version__,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "This service."}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": described,
        "components": {
            "schemas": schemas(),
            "responses": {name: problem_response(problem) for name, problem in known.items() if name in shared},
            "headers": HEADERS,
            "securitySchemes": {
                "auditToken": {"type": "http", "scheme": "bearer", "description": "The service's AUDIT_TOKEN."},
                "erasureToken": {"type": "http", "scheme": "bearer", "description": "The service's ERASURE_TOKEN."},
                "metricsToken": {"type": "http", "scheme": "bearer", "description": "The service's METRICS_TOKEN."},
            },
        },
    }


def document_json() -> bytes:
    """The document as it is served."""
    return msgspec.json.encode(document())
