"""Components/schemas: from pydantic and msgspec where the code has the type, else from the shapes below."""

import inspect
import re
from enum import StrEnum
from typing import Any

import msgspec

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
from ouija_es.resources.ask import QUESTION_LIMIT, AskRequest
from ouija_es.resources.bodies import AnswerBody
from ouija_es.resources.openapi.fields import FIELDS
from ouija_es.resources.openapi.shapes import (
    Dashboard,
    Health,
    Index,
    Live,
    Problem,
    Proof,
    Ready,
    SessionHistory,
    SessionPage,
    StreamDelta,
    StreamDiscard,
)
from ouija_es.store.cloudevents import CloudEvent

Schema = dict[str, Any]

PREFIX = "#/components/schemas/"

# What is left after str.strip() begins and ends with neither space nor control character, and holds no control
# character but tab and newline. Written out, as \s is not the same everywhere; the length stands in the pattern, as
# maxLength would count what is stripped.
_CONTROL = r"\x00-\x08\x0b-\x1f\x7f-\x9f"
_SPACE = r"\x09-\x0d\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_SOLID = f"[^{_CONTROL}{_SPACE}]"
QUESTION_PATTERN = f"^[{_SPACE}]*{_SOLID}([^{_CONTROL}]{{0,{QUESTION_LIMIT - 2}}}{_SOLID})?[{_SPACE}]*$"


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
