"""The totals: how often what has happened, ever."""

from collections.abc import Mapping

import msgspec

from ouija_es.domain.attempts import attempt_of
from ouija_es.domain.events import (
    Abandoned,
    Answered,
    Asked,
    AttemptFailed,
    AttemptSkipped,
    AttemptSucceeded,
    Erased,
    Event,
    Withdrawn,
)
from ouija_es.domain.vocabulary import Category, Language, Outcome, Personality, Provider
from ouija_es.projections.histogram import Histogram
from ouija_es.projections.recent import Question

NO_REASON = "none"


class QuestionLabels(msgspec.Struct, frozen=True, array_like=True):
    """What a question is counted by."""

    personality: Personality
    language: Language
    category: Category


class AttemptLabels(msgspec.Struct, frozen=True, array_like=True):
    """What a try is counted by; `reason` is `none` where there is none."""

    provider: Provider
    outcome: Outcome
    reason: str


class DurationLabels(msgspec.Struct, frozen=True, array_like=True):
    """What the duration of a try is counted by; skips have none."""

    provider: Provider
    outcome: Outcome


class Tokens(msgspec.Struct):
    """What a provider has counted itself."""

    input: int = 0
    output: int = 0


class Totals(msgspec.Struct):
    """Sums of the log so far. Only closed sets of words are keys: the number of entries is bounded."""

    questions: dict[QuestionLabels, int] = msgspec.field(default_factory=dict)
    answers: dict[Provider, int] = msgspec.field(default_factory=dict)
    attempts: dict[AttemptLabels, int] = msgspec.field(default_factory=dict)
    attempt_durations: dict[DurationLabels, Histogram] = msgspec.field(default_factory=dict)
    answer_durations: dict[Provider, Histogram] = msgspec.field(default_factory=dict)
    tokens: dict[Provider, Tokens] = msgspec.field(default_factory=dict)
    table_answers: dict[Category, int] = msgspec.field(default_factory=dict)
    sessions: int = 0
    withdrawn: int = 0
    abandoned: int = 0
    erasures: int = 0

    def fold(self, event: Event, question: Question | None) -> None:
        """Adds an event, of this question if it is one's."""
        trace_id = None if question is None else question.trace_id
        match event:
            case Asked():
                labels = QuestionLabels(event.personality, event.language, event.category)
                self.questions[labels] = self.questions.get(labels, 0) + 1
                self.sessions += event.opens_session
            case AttemptSucceeded() | AttemptFailed() | AttemptSkipped():
                self._attempt(event, trace_id)
            case Answered():
                self.answers[event.source] = self.answers.get(event.source, 0) + 1
                durations = self.answer_durations.setdefault(event.source, Histogram())
                durations.add(event.duration_ms, event.at, trace_id)
                if question is not None and event.source is Provider.DATABASE:
                    self.table_answers[question.category] = self.table_answers.get(question.category, 0) + 1
            case Withdrawn():
                self.withdrawn += 1
            case Abandoned():
                self.abandoned += 1
            case Erased():
                self.erasures += 1
            case _:
                pass

    def _attempt(self, event: AttemptSucceeded | AttemptFailed | AttemptSkipped, trace_id: str | None) -> None:
        attempt = attempt_of(event)
        labels = AttemptLabels(attempt.provider, attempt.outcome, attempt.reason or NO_REASON)
        self.attempts[labels] = self.attempts.get(labels, 0) + 1
        if attempt.outcome is not Outcome.SKIPPED:
            took = DurationLabels(attempt.provider, attempt.outcome)
            self.attempt_durations.setdefault(took, Histogram()).add(attempt.duration_ms, event.at, trace_id)
        if isinstance(event, AttemptSucceeded) and (event.input_tokens, event.output_tokens) != (None, None):
            tokens = self.tokens.setdefault(event.provider, Tokens())
            tokens.input += event.input_tokens or 0
            tokens.output += event.output_tokens or 0

    def attempts_of(self, provider: Provider) -> Mapping[str, Mapping[str, int]]:
        """A provider's tries: outcome to reason to how many."""
        counted: dict[str, dict[str, int]] = {outcome.value: {} for outcome in Outcome}
        for labels, count in self.attempts.items():
            if labels.provider is provider:
                counted[labels.outcome][labels.reason] = count
        return counted
