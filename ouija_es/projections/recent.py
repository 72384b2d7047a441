"""The last questions, without their texts, and the ones still open; and the answers of the last day by source."""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from ouija_es.domain.attempts import Attempt
from ouija_es.domain.events import Answered, Asked
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

    def asked(self, stream: str, event: Asked) -> None:
        """Opens the question of a stream (hex). Raises ValueError if that is no UUID."""
        self.open[stream] = Question(
            _uuid(stream), event.at, event.personality, event.language, event.category, event.trace_id
        )

    def answered(self, stream: str, event: Answered) -> Question | None:
        """Ends the question of a stream with an answer; None if it was not open."""
        question, source = self.end(stream), event.source
        if question is not None:
            question.source, question.duration_ms = source, event.duration_ms
        slot = self._slot(event.at)
        setattr(slot, source, getattr(slot, source) + 1)
        return question

    def end(self, stream: str) -> Question | None:
        """Ends the question of a stream; None if it was not open."""
        question = self.open.pop(stream, None)
        if question is not None:
            self.ended.append(question)
            if len(self.ended) > KEPT:
                del self.ended[0]
        return question

    def _slot(self, at: datetime) -> Slot:
        # Times go back a little where clocks do: such an answer counts in the newest slot.
        if self.slots and at < (newest := self.slots[-1]).at + _SLOT:
            return newest
        start = at - timedelta(minutes=at.minute % SLOT_MINUTES, seconds=at.second, microseconds=at.microsecond)
        self.slots.append(Slot(start))
        del self.slots[:-SLOTS]
        return self.slots[-1]


def _uuid(stream: str) -> UUID:
    try:
        return msgspec.convert(stream, UUID)  # three times as fast as the class itself
    except msgspec.ValidationError:
        return UUID(stream)
