"""Components/schemas: from pydantic and msgspec where the code has the type, else from the shapes below."""

import inspect
import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, NotRequired, TypedDict
from uuid import UUID

import msgspec
from msgspec import Meta

from ouija_es.domain import vocabulary
from ouija_es.domain.attempts import Attempt
from ouija_es.domain.events import (
    TOPICS,
    BreakerClosed,
    BreakerHalfOpened,
    BreakerOpened,
    Erased,
    PolicyAdopted,
    Sealed,
)
from ouija_es.domain.vocabulary import Reason
from ouija_es.errors import FieldError
from ouija_es.resources.ask import QUESTION_LIMIT, AskRequest
from ouija_es.resources.bodies import AnswerBody
from ouija_es.resources.openapi.fields import FIELDS
from ouija_es.resources.openapi.ledger import LedgerCheck, Proof
from ouija_es.store.cloudevents import CloudEvent

Schema = dict[str, Any]

PREFIX = "#/components/schemas/"
Count = Annotated[int, Meta(ge=0)]

# What is left after str.strip() begins and ends with neither space nor control character, and holds no control
# character but tab and newline. Written out, as \s is not the same everywhere; the length stands in the pattern, as
# maxLength would count what is stripped.
_CONTROL = r"\x00-\x08\x0b-\x1f\x7f-\x9f"
_SPACE = r"\x09-\x0d\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_SOLID = f"[^{_CONTROL}{_SPACE}]"
QUESTION_PATTERN = f"^[{_SPACE}]*{_SOLID}([^{_CONTROL}]{{0,{QUESTION_LIMIT - 2}}}{_SOLID})?[{_SPACE}]*$"


class Problem(TypedDict):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: str
    traceId: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
    errors: NotRequired[list[FieldError]]


class Index(TypedDict):
    """What this is, and where to go."""

    name: Literal["ouija_es"]
    version: str
    links: dict[str, str]


class DatabaseCheck(TypedDict):
    """The event store and the table of canned answers."""

    status: Literal["ok", "error"]
    count: Count
    error: str | None


class ProviderCheck(TypedDict):
    """A model provider, by the evidence of the last questions."""

    status: Literal["ok", "degraded"]
    available: bool | None
    error: Reason | None


class ProjectionsCheck(TypedDict):
    """The numbers that are folded from the log."""

    status: Literal["ok", "error"]
    lag: int
    error: str | None


class HealthChecks(TypedDict):
    """One entry per dependency."""

    database: DatabaseCheck
    ollama: ProviderCheck
    groq: ProviderCheck
    projections: ProjectionsCheck
    ledger: LedgerCheck


class Health(TypedDict):
    """The service's health."""

    status: Literal["ok", "critical"]
    timestamp: datetime
    version: str
    environment: Literal["development", "test", "production"]
    commit: str | None
    checks: HealthChecks


class Dashboard(TypedDict):
    """The service in numbers. With `as_of`, what only the process knows is null."""

    timestamp: datetime
    position: int
    totals: dict[str, Any]
    services: dict[str, Any]
    eventStore: dict[str, Any]
    answers: dict[str, Any]
    timeline: list[dict[str, Any]]
    recent: list[dict[str, Any]]


class Live(TypedDict):
    """The process runs."""

    status: Literal["ok"]


class Ready(TypedDict):
    """Whether the process answers."""

    status: Literal["ok", "starting", "draining"]


class QuestionHistory(TypedDict):
    """A question with all that happened to it."""

    questionId: UUID
    sessionId: UUID
    erased: bool
    events: list[dict[str, Any]]


class SessionHistory(TypedDict):
    """A session's questions, oldest first."""

    sessionId: UUID
    questions: list[QuestionHistory]


class SessionSummary(TypedDict):
    """A session."""

    sessionId: UUID
    openedAt: datetime
    lastAt: datetime
    questions: Count
    erasedAt: datetime | None


class SessionPage(TypedDict):
    """Some sessions, newest first."""

    sessions: list[SessionSummary]
    next: str | None


class StreamDelta(TypedDict):
    """A piece of a streamed answer."""

    text: str


class StreamDiscard(TypedDict):
    """The pieces so far are void."""

    reason: Reason


BODIES: tuple[type, ...] = (
    *(AnswerBody, Problem, Index, Health, Dashboard, Live, Ready, SessionHistory, StreamDelta, StreamDiscard),
    *(SessionPage, CloudEvent, Proof),
)
OF_NO_QUESTION = (PolicyAdopted, BreakerOpened, BreakerHalfOpened, BreakerClosed, Erased, Sealed)
EVENTS = {topic: event for topic, event in TOPICS.items() if event not in OF_NO_QUESTION}
"""What can stand in a question's history; the others stand in the stream of the process they happened in."""
STREAMED: dict[str, type] = {
    "attempt": Attempt,
    "delta": StreamDelta,
    "discard": StreamDiscard,
    "answer": AnswerBody,
    "error": Problem,
}
"""Server-sent event to what its data is."""


def schemas() -> dict[str, Schema]:
    """Name to schema, every property described."""
    request = AskRequest.model_json_schema(ref_template=PREFIX + "{model}")
    request.pop("$defs")
    request["properties"]["question"] |= {"minLength": 1, "pattern": QUESTION_PATTERN}
    _, found = msgspec.json.schema_components([*BODIES, *EVENTS.values()], ref_template=PREFIX + "{name}")
    recorded = {f"Recorded{event.__name__}": _recorded(topic, event.__name__) for topic, event in EVENTS.items()}
    found["QuestionHistory"]["properties"]["events"]["items"] = {
        "oneOf": [{"$ref": PREFIX + name} for name in recorded],
        "discriminator": {
            "propertyName": "type",
            "mapping": {topic: f"{PREFIX}Recorded{event.__name__}" for topic, event in EVENTS.items()},
        },
    }
    found |= {"AskRequest": request, **recorded, **_streamed(), **_closed_sets()}
    return {name: _described(name, schema) for name, schema in sorted(found.items())}


def _recorded(topic: str, name: str) -> Schema:
    return {
        "title": f"Recorded{name}",
        "description": f"{name}, and its place in the log.",
        "type": "object",
        "properties": {
            "position": {"type": "integer", "minimum": 1},
            "version": {"type": "integer", "minimum": 1},
            "type": {"type": "string", "const": topic},
            "data": {"$ref": PREFIX + name},
        },
        "required": ["position", "version", "type", "data"],
    }


def _streamed() -> dict[str, Schema]:
    events = {f"Streamed{event.capitalize()}": (event, data.__name__) for event, data in STREAMED.items()}
    return {
        "StreamedEvent": {
            "title": "StreamedEvent",
            "description": "A server-sent event.",
            "oneOf": [{"$ref": PREFIX + name} for name in events],
            "discriminator": {
                "propertyName": "event",
                "mapping": {event: PREFIX + name for name, (event, _) in events.items()},
            },
        },
        **{
            name: {
                "title": name,
                "description": f"The server-sent event `{event}`.",
                "type": "object",
                "properties": {
                    "event": {"type": "string", "const": event},
                    "data": {
                        "type": "string",
                        "contentMediaType": "application/json",
                        "contentSchema": {"$ref": PREFIX + data},
                    },
                },
                "required": ["event", "data"],
            }
            for name, (event, data) in events.items()
        },
    }


def _closed_sets() -> dict[str, Schema]:
    return {
        name: {"title": name, "description": it.__doc__, "type": "string", "enum": [member.value for member in it]}
        for name, it in vars(vocabulary).items()
        if isinstance(it, type) and issubclass(it, StrEnum) and it not in {StrEnum, vocabulary.ErasedBy}
    }


def _described(name: str, schema: Schema) -> Schema:
    """The schema with its docstring in the names of the wire, and a description for each property."""
    schema["description"] = wire_names(inspect.cleandoc(schema["description"]))
    for field, property_ in schema.get("properties", {}).items():
        property_.pop("title", None)
        if field == "texts":  # opened by the audit API, or null; never sealed as in the log
            property_["anyOf"] = [{"type": "null"} if "contentEncoding" in it else it for it in property_["anyOf"]]
        if field in ("at", "timestamp", "sealedAt"):
            property_["format"] = "date-time"
        if text := FIELDS.get(f"{name}.{field}", FIELDS.get(field)):
            property_["description"] = text
    return schema


def wire_names(text: str) -> str:
    """Names in backticks as clients meet them: `duration_ms` becomes `durationMs`, `TRUNCATED` becomes `truncated`."""

    def renamed(match: re.Match[str]) -> str:
        name = match[1]
        if name.isupper():
            return f"`{name.lower()}`"
        first, *others = name.split("_")
        return f"`{first}{''.join(part.capitalize() for part in others)}`" if all([first, *others]) else match[0]

    return re.sub(r"`(\w+)`", renamed, text)
