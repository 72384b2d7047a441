"""Examples: made by the types and functions that make the real bodies, with canned texts from the tables themselves."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

import seeds
from ouija_es import __version__
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
)
from ouija_es.domain.vocabulary import Category, Language, Outcome, Personality, Provider, Reason
from ouija_es.providers.canned import MODEL as CANNED_MODEL
from ouija_es.resources.ask import AnswerBody, AttemptBody
from ouija_es.resources.audit import question_body
from ouija_es.resources.index import LINKS
from ouija_es.store.log import Recorded

Examples = dict[str, Any]

SESSION = UUID("01a20c44-add0-7941-add8-94a3a56aaba0")
QUESTIONS = (UUID("01a20c44-add0-789b-816e-5ded60892a13"), UUID("01a20c44-addb-7af6-ab95-557b6cbe182d"))
INSTANCE = UUID("01a20c44-aad3-7919-a055-5fe584835337")
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
GROQ_MODEL = "llama-3.1-8b-instant"

LOVE = "¿Encontraré el amor?"
LOVE_ANSWERED = "Lo que buscas ya camina hacia ti, despacio. Deja la puerta abierta y no cuentes los pasos."
JOB = "Will I get the job?"
AT_RISK = "No quiero seguir viviendo."


def requests() -> Examples:
    """Bodies of POST /ouija/ask."""
    return {
        "spanish": _example("In Spanish", {"question": LOVE, "personality": "wise", "language": "es"}),
        "english": _example(
            "In English, in the same session",
            {"question": JOB, "personality": "playful", "language": "en", "sessionId": str(SESSION)},
        ),
        "shortest": _example("The voice is wise, the language Accept-Language's best", {"question": LOVE}),
        "atRisk": _example("A question about suicide", {"question": AT_RISK}),
    }


def answers() -> Examples:
    """Bodies of 200."""
    model = AnswerBody(
        question_id=QUESTIONS[0],
        session_id=SESSION,
        question=LOVE,
        response=LOVE_ANSWERED,
        personality=Personality.WISE,
        language=Language.ES,
        category=Category.LOVE,
        source=Provider.GROQ,
        model=GROQ_MODEL,
        response_time=412,
        attempts=[AttemptBody(Provider.GROQ, Outcome.ANSWERED, None, 405)],
    )
    table = AnswerBody(
        question_id=QUESTIONS[1],
        session_id=SESSION,
        question=JOB,
        response=_canned(),
        personality=Personality.PLAYFUL,
        language=Language.EN,
        category=Category.CAREER,
        source=Provider.DATABASE,
        model=CANNED_MODEL,
        response_time=3004,
        attempts=[
            AttemptBody(Provider.GROQ, Outcome.FAILED, Reason.TIMEOUT, 3001),
            AttemptBody(Provider.OLLAMA, Outcome.SKIPPED, Reason.NOT_CONFIGURED, 0),
            AttemptBody(Provider.DATABASE, Outcome.ANSWERED, None, 0),
        ],
    )
    help_lines = msgspec.structs.replace(
        model,
        question=AT_RISK,
        response=seeds.load_safety_words()[Language.ES]["answer"],
        category=Category.FUTURE,
        source=Provider.DATABASE,
        model=CANNED_MODEL,
        response_time=1,
        attempts=[AttemptBody(Provider.DATABASE, Outcome.ANSWERED, None, 0)],
    )
    return {
        "groq": _example("Groq answered", msgspec.to_builtins(model)),
        "database": _example(
            "Groq did not answer in time, there is no Ollama: a canned answer", msgspec.to_builtins(table)
        ),
        "helpLines": _example(
            "A question about suicide: kindly, out of character, no model called", msgspec.to_builtins(help_lines)
        ),
    }


def histories() -> tuple[Examples, Examples]:
    """Bodies of a session's and of a question's history."""
    answered, erased = _history(0, _answered_by_groq()), _history(1, _answered_by_table())
    return (
        {"session": _example("Two questions", {"sessionId": str(SESSION), "questions": [answered, erased]})},
        {
            "answered": _example("Answered by Groq", answered),
            "erased": _example("Answered by the table; its texts are erased", erased),
        },
    )


def health() -> tuple[Examples, Examples]:
    """Bodies of GET /health with 200 and with 503."""
    checks: dict[str, Any] = {
        "database": {"status": "ok", "count": len(seeds.load_answers()), "error": None},
        "ollama": {"status": "degraded", "available": False, "error": "connection"},
        "groq": {"status": "ok", "available": True, "error": None},
    }
    ok = {
        "status": "ok",
        "timestamp": "2026-01-31T12:00:00.000Z",
        "version": __version__,
        "environment": "production",
        "checks": checks,
    }
    failed = {**checks["database"], "status": "error", "error": "the event store does not take events"}
    critical = {**ok, "status": "critical", "checks": {**checks, "database": failed}}
    return {"ok": _example("Ollama is away", ok)}, {"critical": _example("The disk is full", critical)}


def status(*values: str) -> Examples:
    """Bodies of GET /health/live and /health/ready."""
    return {value: {"value": {"status": value}} for value in values}


def index() -> Examples:
    """The body of GET /."""
    return {"index": {"value": {"name": "ouija_es", "version": __version__, "links": LINKS}}}


def _example(summary: str, value: object) -> dict[str, Any]:
    return {"summary": summary, "value": value}


def _canned() -> str:
    return next(
        answer.text
        for answer in seeds.load_answers()
        if (answer.language, answer.personality, answer.category) == (Language.EN, Personality.PLAYFUL, Category.CAREER)
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


def _started(milliseconds: int, provider: Provider, model: str, timeout_ms: int, time_left_ms: int) -> AttemptStarted:
    return AttemptStarted(
        **_stamp(milliseconds),
        provider=provider,
        attempt=1,
        model=model,
        timeout_ms=timeout_ms,
        time_left_ms=time_left_ms,
    )


def _answered_by_groq() -> list[Event]:
    return [
        _asked(AskedTexts(question=LOVE, client_address="192.0.2.7"), opens_session=True),
        _started(1, Provider.GROQ, GROQ_MODEL, 3000, 6999),
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


def _answered_by_table() -> list[Event]:
    return [
        _asked(b"sealed", opens_session=False),
        _started(1, Provider.GROQ, GROQ_MODEL, 3000, 6999),
        AttemptFailed(
            **_stamp(12),
            provider=Provider.GROQ,
            attempt=1,
            reason=Reason.RATE_LIMITED,
            duration_ms=10,
            time_left_ms=6988,
            status=429,
            retry_after_ms=30_000,
        ),
        AttemptSkipped(**_stamp(12), provider=Provider.OLLAMA, reason=Reason.NOT_CONFIGURED, time_left_ms=6988),
        _started(12, Provider.DATABASE, CANNED_MODEL, 1000, 7988),
        AttemptSucceeded(
            **_stamp(13), provider=Provider.DATABASE, attempt=1, reason=None, duration_ms=0, model=CANNED_MODEL
        ),
        Answered(**_stamp(13), source=Provider.DATABASE, model=CANNED_MODEL, duration_ms=13, texts=b"sealed"),
    ]
