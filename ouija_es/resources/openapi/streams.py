"""Example streams, in the bytes that are sent."""

from typing import Any

import msgspec
from falcon.asgi import SSEvent

from ouija_es.domain.vocabulary import Reason
from ouija_es.errors import StoreUnavailable
from ouija_es.resources.openapi.examples import LOVE_ANSWERED, TRACE_ID, Examples, answers
from ouija_es.resources.problem import problem_body

COMMENT = SSEvent().serialize().decode()


def streams() -> Examples:
    """Bodies of 200 as `text/event-stream`."""
    answer, canned = answers()["groq"]["value"], answers()["database"]["value"]
    by_groq = [*_deltas(LOVE_ANSWERED), _event("attempt", answer["attempts"][0])]
    failed, skipped, answered = (_event("attempt", attempt) for attempt in canned["attempts"])
    return {
        "groq": _example("Groq answered", *by_groq, _event("answer", answer)),
        "discarded": _example(
            "Groq began, and stopped: what it said is void, and a canned answer follows",
            *_deltas("The planchette trembles"),
            COMMENT,
            _event("discard", {"reason": Reason.TIMEOUT}),
            *(failed, skipped),
            _event("delta", {"text": canned["response"]}),
            answered,
            _event("answer", canned),
        ),
        "notRecorded": _example(
            "Groq answered, but the answer could not be recorded",
            *by_groq,
            COMMENT,
            _event("discard", {"reason": Reason.CANCELLED}),
            _event("error", problem_body(StoreUnavailable("busy"), TRACE_ID)),
        ),
    }


def _example(summary: str, *events: str) -> dict[str, Any]:
    return {"summary": summary, "value": "".join([COMMENT, *events])}


def _event(name: str, data: object) -> str:
    return SSEvent(event=name, data=msgspec.json.encode(data)).serialize().decode()


def _deltas(text: str) -> list[str]:
    """The text in pieces of three words."""
    words = text.split(" ")
    pieces = [" ".join(words[at : at + 3]) for at in range(0, len(words), 3)]
    return [_event("delta", {"text": piece if at == 0 else f" {piece}"}) for at, piece in enumerate(pieces)]
