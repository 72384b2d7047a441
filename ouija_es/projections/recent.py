"""The last questions, without their texts, and the ones still open; and the answers of the last day by source."""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from ouija_es.domain.attempts import Attempt, attempt_of
from ouija_es.domain.events import (
    Abandoned,
    Answered,
    Asked,
    AttemptFailed,
    AttemptSkipped,
    AttemptSucceeded,
    Event,
    Withdrawn,
)
from ouija_es.domain.vocabulary import Category, Language, Personality, Provider

KEPT = 30
SLOT_MINUTES = 5
_SLOT = timedelta(minutes=SLOT_MINUTES)
SLOTS = 288
"""A day of them."""


class Question(msgspec.Struct, rename="camel"):
    """A question as operators see it; `source` is null while it is open and where it ended without an answer."""

    question_id: UUID
    at: datetime
    personality: Personality
    language: Language
    category: Category
    trace_id: str
    source: Provider | None = None
    duration_ms: int | None = None
    attempts: list[Attempt] = msgspec.field(default_factory=list)


class Slot(msgspec.Struct):
    """The answers of five minutes, by source."""

    at: datetime
    groq: int = 0
    ollama: int = 0
    database: int = 0


class Recent(msgspec.Struct):
    """Bounded: `ended` and `slots` by their own numbers, `open` by how many asks a process has in flight."""

    open: dict[str, Question] = msgspec.field(default_factory=dict)
    ended: list[Question] = msgspec.field(default_factory=list)
    slots: list[Slot] = msgspec.field(default_factory=list)

    def fold(self, stream: str, event: Event) -> None:
        """Adds an event of a stream (hex)."""
        match event:
            case Asked():
                self.open[stream] = Question(
                    UUID(stream), event.at, event.personality, event.language, event.category, event.trace_id
                )
            case AttemptSucceeded() | AttemptFailed() | AttemptSkipped():
                question = self.open.get(stream)
                if question is not None:
                    question.attempts.append(attempt_of(event))
            case Answered():
                question = self._end(stream)
                if question is not None:
                    question.source, question.duration_ms = event.source, event.duration_ms
                slot = self._slot(event.at)
                setattr(slot, event.source.value, getattr(slot, event.source.value) + 1)
            case Withdrawn() | Abandoned():
                self._end(stream)
            case _:
                pass

    def _end(self, stream: str) -> Question | None:
        question = self.open.pop(stream, None)
        if question is not None:
            self.ended.append(question)
            del self.ended[:-KEPT]
        return question

    def _slot(self, at: datetime) -> Slot:
        # Times go back a little where clocks do: such an answer counts in the newest slot.
        if self.slots and at < self.slots[-1].at + _SLOT:
            return self.slots[-1]
        start = at - timedelta(minutes=at.minute % SLOT_MINUTES, seconds=at.second, microseconds=at.microsecond)
        self.slots.append(Slot(start))
        del self.slots[:-SLOTS]
        return self.slots[-1]
