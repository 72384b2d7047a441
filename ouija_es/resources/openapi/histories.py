"""Example histories: what the audit API gives, made from events by the function that makes the real ones."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from ouija_es.domain.events import (
    TOPIC_OF,
    Answered,
    AnsweredTexts,
    Asked,
    AskedTexts,
    AttemptFailed,
    AttemptSkipped,
    AttemptStarted,
    AttemptSucceeded,
    Event,
    TierState,
    Withdrawn,
)
from ouija_es.domain.vocabulary import BreakerState, Category, Language, Personality, Provider, Reason
from ouija_es.providers.canned import MODEL as CANNED_MODEL
from ouija_es.resources.audit import question_body
from ouija_es.resources.openapi.examples import (
    GROQ_MODEL,
    LOVE,
    LOVE_ANSWERED,
    QUESTIONS,
    SESSION,
    TRACE_ID,
    Examples,
    example,
)
from ouija_es.store.log import Recorded

INSTANCE = UUID("01a20c44-aad3-7919-a055-5fe584835337")
AT = datetime(2026, 1, 31, 12, tzinfo=UTC)


def histories() -> tuple[Examples, Examples]:
    """Bodies of a session's and of a question's history."""
    answered = _history(0, _answered_by_groq())
    withdrawn = _history(1, _withdrawn())
    erased = _history(0, answered_by_table())
    return (
        {"session": example("Two questions", {"sessionId": str(SESSION), "questions": [answered, withdrawn]})},
        {
            "answered": example("Answered by Groq", answered),
            "withdrawn": example("Its client went away while Groq was asked", withdrawn),
            "erased": example("Answered by the table; its texts are erased", erased),
        },
    )


def _history(number: int, events: list[Event]) -> dict[str, Any]:
    position = 2 + number * 10
    recorded = [
        Recorded(position + version, QUESTIONS[number], version, TOPIC_OF[type(event)], event)
        for version, event in enumerate(events, start=1)
    ]
    history: dict[str, Any] = msgspec.to_builtins(question_body(recorded))
    return history


def _stamp(milliseconds: int) -> dict[str, Any]:
    return {"at": AT + timedelta(milliseconds=milliseconds), "instance": INSTANCE}


def _asked(texts: AskedTexts | bytes, *, opens_session: bool) -> Asked:
    return Asked(
        **_stamp(0),
        session_id=SESSION,
        opens_session=opens_session,
        personality=Personality.WISE,
        language=Language.ES,
        category=Category.LOVE,
        exchanges=0,
        deadline_ms=8000,
        trace_id=TRACE_ID,
        texts=texts,
    )


def _started_groq() -> AttemptStarted:
    return _started(1, Provider.GROQ, GROQ_MODEL, 3000, 6999, TierState(in_flight=0, requests_left=30, has_room=True))


def _started(
    milliseconds: int, provider: Provider, model: str, timeout_ms: int, time_left_ms: int, seen: TierState
) -> AttemptStarted:
    return AttemptStarted(
        **_stamp(milliseconds),
        provider=provider,
        attempt=1,
        model=model,
        timeout_ms=timeout_ms,
        time_left_ms=time_left_ms,
        seen=seen,
    )


def _answered_by_groq() -> list[Event]:
    return [
        _asked(AskedTexts(question=LOVE, client_address="192.0.2.7"), opens_session=True),
        _started_groq(),
        AttemptSucceeded(
            **_stamp(410),
            provider=Provider.GROQ,
            attempt=1,
            reason=None,
            duration_ms=405,
            model=GROQ_MODEL,
            input_tokens=212,
            output_tokens=27,
        ),
        Answered(
            **_stamp(412),
            source=Provider.GROQ,
            model=GROQ_MODEL,
            duration_ms=412,
            texts=AnsweredTexts(response=LOVE_ANSWERED, canned_answer_id=None, safety=False),
        ),
    ]


def _withdrawn() -> list[Event]:
    return [
        _asked(AskedTexts(question=LOVE, client_address="192.0.2.7"), opens_session=False),
        _started_groq(),
        AttemptFailed(
            **_stamp(903),
            provider=Provider.GROQ,
            attempt=1,
            reason=Reason.CANCELLED,
            duration_ms=902,
            time_left_ms=0,
        ),
        Withdrawn(**_stamp(903)),
    ]


def answered_by_table() -> list[Event]:
    """A question that ends at the table, texts sealed."""
    return [
        _asked(b"sealed", opens_session=False),
        _started_groq(),
        AttemptFailed(
            **_stamp(12),
            provider=Provider.GROQ,
            attempt=1,
            reason=Reason.RATE_LIMITED,
            duration_ms=10,
            time_left_ms=6988,
            status=429,
            retry_after_ms=30_000,
            retryable=True,
            shown=False,
        ),
        AttemptSkipped(
            **_stamp(12),
            provider=Provider.OLLAMA,
            reason=Reason.BREAKER_OPEN,
            time_left_ms=6988,
            seen=TierState(in_flight=0, breaker=BreakerState.OPEN, has_room=True),
        ),
        _started(12, Provider.DATABASE, CANNED_MODEL, 1000, 7988, TierState(in_flight=0, has_room=True)),
        AttemptSucceeded(
            **_stamp(13), provider=Provider.DATABASE, attempt=1, reason=None, duration_ms=0, model=CANNED_MODEL
        ),
        Answered(**_stamp(13), source=Provider.DATABASE, model=CANNED_MODEL, duration_ms=13, texts=b"sealed"),
    ]
