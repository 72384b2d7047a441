"""The totals: how often what has happened, ever."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from ouija_es.domain.attempts import SKIPPED, Attempt
from ouija_es.domain.events import Answered, Asked
from ouija_es.domain.vocabulary import Category, Language, Outcome, Personality, Provider
from ouija_es.projections.histogram import Histogram
from ouija_es.projections.recent import Question

NO_REASON = "none"
_TABLE = Provider.DATABASE


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

    def asked(self, event: Asked) -> None:
        """Adds a question."""
        labels = QuestionLabels(event.personality, event.language, event.category)
        self.questions[labels] = self.questions.get(labels, 0) + 1
        if event.opens_session:
            self.sessions += 1

    def tried(self, attempt: Attempt, at: datetime, trace_id: str | None) -> None:
        """Adds a try; `trace_id`: of its question, if that is known."""
        provider, outcome = attempt.provider, attempt.outcome
        labels = AttemptLabels(provider, outcome, attempt.reason or NO_REASON)
        self.attempts[labels] = self.attempts.get(labels, 0) + 1
        if outcome is not SKIPPED:
            took = DurationLabels(provider, outcome)
            durations = self.attempt_durations.get(took)
            if durations is None:
                durations = self.attempt_durations[took] = Histogram()
            durations.add(attempt.duration_ms, at, trace_id)

    def spent(self, provider: Provider, input_tokens: int | None, output_tokens: int | None) -> None:
        """Adds what a provider has counted; None where it has not."""
        if input_tokens is None and output_tokens is None:
            return
        tokens = self.tokens.get(provider)
        if tokens is None:
            tokens = self.tokens[provider] = Tokens()
        tokens.input += input_tokens or 0
        tokens.output += output_tokens or 0

    def answered(self, event: Answered, question: Question | None) -> None:
        """Adds an answer, to this question if it is known."""
        source = event.source
        self.answers[source] = self.answers.get(source, 0) + 1
        durations = self.answer_durations.get(source)
        if durations is None:
            durations = self.answer_durations[source] = Histogram()
        durations.add(event.duration_ms, event.at, None if question is None else question.trace_id)
        if question is not None and source is _TABLE:
            self.table_answers[question.category] = self.table_answers.get(question.category, 0) + 1

    def attempts_of(self, provider: Provider) -> Mapping[str, Mapping[str, int]]:
        """A provider's tries: outcome to reason to how many."""
        counted: dict[str, dict[str, int]] = {outcome.value: {} for outcome in Outcome}
        for labels, count in self.attempts.items():
            if labels.provider is provider:
                counted[labels.outcome][labels.reason] = count
        return counted
