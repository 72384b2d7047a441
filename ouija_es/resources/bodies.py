"""What an answer looks like outside."""

from uuid import UUID

import msgspec

from ouija_es.domain.attempts import Attempt
from ouija_es.domain.vocabulary import Category, Language, Personality, Provider
from ouija_es.seance import Answer, Ask


class AnswerBody(msgspec.Struct, frozen=True, rename="camel"):
    """The 200 body. `response_time` in whole milliseconds."""

    question_id: UUID
    session_id: UUID
    question: str
    response: str
    personality: Personality
    language: Language
    category: Category
    source: Provider
    model: str
    response_time: int
    attempts: list[Attempt]


def answer_body(ask: Ask, answer: Answer) -> AnswerBody:
    """The answer to a question, with what was asked."""
    return AnswerBody(
        question_id=answer.question_id,
        session_id=answer.session_id,
        question=ask.question,
        response=answer.response,
        personality=ask.personality,
        language=ask.language,
        category=answer.category,
        source=answer.source,
        model=answer.model,
        response_time=answer.duration_ms,
        attempts=answer.attempts,
    )


def server_timing(answer: Answer) -> str:
    """https://www.w3.org/TR/server-timing/: one entry per attempt, and the event store's share."""
    entries = [f'{attempt.provider};dur={attempt.duration_ms};desc="{attempt.outcome}"' for attempt in answer.attempts]
    return ", ".join([*entries, f"record;dur={answer.record_ms:.1f}"])
