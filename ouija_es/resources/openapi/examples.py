"""Examples: made by the types and functions that make the real bodies, with canned texts from the tables themselves."""

import hashlib
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

import seeds
from ouija_es import __version__
from ouija_es.domain.attempts import Attempt
from ouija_es.domain.events import Sealed
from ouija_es.domain.vocabulary import Category, Language, Outcome, Personality, Provider, Reason
from ouija_es.projections.state import State
from ouija_es.providers.canned import MODEL as CANNED_MODEL
from ouija_es.resources.bodies import AnswerBody
from ouija_es.resources.index import LINKS
from ouija_es.resources.proof import proof_body

Examples = dict[str, Any]

SESSION = UUID("01a20c44-add0-7941-add8-94a3a56aaba0")
QUESTIONS = (UUID("01a20c44-add0-789b-816e-5ded60892a13"), UUID("01a20c44-addb-7af6-ab95-557b6cbe182d"))
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
GROQ_MODEL = "llama-3.1-8b-instant"

PUBLIC_KEY = "O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik"
SEALED = Sealed(
    at=datetime(2026, 1, 31, 12, tzinfo=UTC),
    instance=UUID("01a20c44-aad3-7919-a055-5fe584835337"),
    position=1308,
    hash="6f1478912e3953ba0a1a13fc3ac5b93d63e6d73ae20aa355c87baf567e37b96d",
    signature="NQbwbFxyHyXfbY1Z7ak1GSt2CBcC4_N25yXpd3RpghfM8nT7okaQ88dH9trR5GcTx8T_2MI9azLS-6CGrr-EAg",
    public_key=PUBLIC_KEY,
)

LOVE = "¿Encontraré el amor?"
LOVE_ANSWERED = "Lo que buscas ya camina hacia ti, despacio. Deja la puerta abierta y no cuentes los pasos."
JOB = "Will I get the job?"
AT_RISK = "No quiero seguir viviendo."


def requests() -> Examples:
    """Bodies of POST /ouija/ask."""
    return {
        "spanish": example("In Spanish", {"question": LOVE, "personality": "wise", "language": "es"}),
        "english": example(
            "In English, in the same session",
            {"question": JOB, "personality": "playful", "language": "en", "sessionId": str(SESSION)},
        ),
        "shortest": example("The voice is wise, the language Accept-Language's best", {"question": LOVE}),
        "atRisk": example("A question about suicide", {"question": AT_RISK}),
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
        attempts=[Attempt(Provider.GROQ, Outcome.ANSWERED, None, 405)],
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
            Attempt(Provider.GROQ, Outcome.FAILED, Reason.TIMEOUT, 3001),
            Attempt(Provider.OLLAMA, Outcome.SKIPPED, Reason.NOT_CONFIGURED, 0),
            Attempt(Provider.DATABASE, Outcome.ANSWERED, None, 0),
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
        attempts=[Attempt(Provider.DATABASE, Outcome.ANSWERED, None, 0)],
    )
    return {
        "groq": example("Groq answered", msgspec.to_builtins(model)),
        "database": example(
            "Groq did not answer in time, there is no Ollama: a canned answer", msgspec.to_builtins(table)
        ),
        "helpLines": example(
            "A question about suicide: kindly, out of character, no model called", msgspec.to_builtins(help_lines)
        ),
    }


def health() -> tuple[Examples, Examples]:
    """Bodies of GET /health with 200 and with 503."""
    checks: dict[str, Any] = {
        "database": {"status": "ok", "count": len(seeds.load_answers()), "error": None},
        "ollama": {"status": "degraded", "available": False, "error": "connection"},
        "groq": {"status": "ok", "available": True, "error": None},
        "projections": {"status": "ok", "lag": 0, "error": None},
        "ledger": {"status": "ok", "sealedPosition": 1310, "error": None},
    }
    ok = {
        "status": "ok",
        "timestamp": "2026-01-31T12:00:00.000Z",
        "version": __version__,
        "environment": "production",
        "commit": "5f3c9a1e2b7d4c6f8a0b1c2d3e4f5a6b7c8d9e0f",
        "checks": checks,
    }
    failed = {**checks["database"], "status": "error", "error": "the event store does not take events"}
    critical = {**ok, "status": "critical", "checks": {**checks, "database": failed}}
    return {"ok": example("Ollama is away", ok)}, {"critical": example("The disk is full", critical)}


def dashboard() -> Examples:
    """The body of GET /dashboard of a service that has answered once, from the table."""
    unused = {
        "available": False,
        "breaker": "closed",
        "rateLimit": {"remaining": None, "resetsAt": None},
        "attempts": {"answered": {}, "failed": {}, "skipped": {"not_configured": 1}},
        "latency": {"p50Ms": None, "p95Ms": None},
        "lastSuccessAt": None,
        "lastFailureAt": None,
    }
    body = {
        "timestamp": "2026-01-31T12:00:00.000Z",
        "position": 7,
        "totals": {
            "questions": 1,
            "answers": {"groq": 0, "ollama": 0, "database": 1},
            "withdrawn": 0,
            "abandoned": 0,
            "sessions": 1,
            "erasures": 0,
            "tokens": {},
            "byPersonality": {"wise": 1},
            "byLanguage": {"es": 1},
            "byCategory": {"love": 1},
        },
        "services": {
            "groq": {**unused, "rateLimit": {"remaining": 30, "resetsAt": "2026-01-31T12:00:00Z"}},
            "ollama": unused,
            "database": {"totalResponses": 1, "byCategory": {"love": 1}},
        },
        "eventStore": {"events": 7, "projected": 7, "lag": 0, "projectorStopped": False, "sealedPosition": 0},
        "answers": {"latency": {"p50Ms": 3, "p95Ms": 3, "p99Ms": 3}},
        "timeline": [{"at": "2026-01-31T12:00:00Z", "groq": 0, "ollama": 0, "database": 1}],
        "recent": [],
    }
    return {"started": example("After the first answer", body)}


def proof() -> Examples:
    """Bodies of GET /audit/proof before and after the first seal."""
    state = State(position=7, ordinal=7, link=hashlib.sha256(b"the last link").digest())
    new = msgspec.to_builtins(proof_body(state, PUBLIC_KEY))
    state.position, state.sealed = 1310, SEALED
    sealed = msgspec.to_builtins(proof_body(state, PUBLIC_KEY))
    return {"sealed": example("Sealed up to position 1308", sealed), "new": example("Not sealed yet", new)}


def status(*values: str) -> Examples:
    """Bodies of GET /health/live and /health/ready."""
    return {value: {"value": {"status": value}} for value in values}


def index() -> Examples:
    """The body of GET /."""
    return {"index": {"value": {"name": "ouija_es", "version": __version__, "links": LINKS}}}


def example(summary: str, value: object) -> dict[str, Any]:
    """An Example Object."""
    return {"summary": summary, "value": value}


def _canned() -> str:
    return next(
        answer.text
        for answer in seeds.load_answers()
        if (answer.language, answer.personality, answer.category) == (Language.EN, Personality.PLAYFUL, Category.CAREER)
    )
