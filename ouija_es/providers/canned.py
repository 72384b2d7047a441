"""The database tier: hand-written answers, and the help for questions about self-harm.

The table is read once, at start; an ask touches only memory and cannot fail.
"""

from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable, Mapping

from ouija_es.domain.canned import CannedAnswer
from ouija_es.domain.categories import fold
from ouija_es.domain.vocabulary import Category, Language, Personality, Provider
from ouija_es.providers.provider import Query, Reply

MODEL = "sqlite-fallback"


class Canned:
    """The last tier."""

    name = Provider.DATABASE
    model = MODEL

    def __init__(self, answers: Iterable[CannedAnswer], help_answers: Mapping[Language, str]) -> None:
        self._help_answers = help_answers
        cells: dict[tuple[Personality, Language, Category], list[CannedAnswer]] = defaultdict(list)
        for answer in sorted(answers, key=lambda answer: answer.id):
            cells[answer.personality, answer.language, answer.category].append(answer)
        self._cells = dict(cells)
        self.total = sum(len(cell) for cell in self._cells.values())

    async def answer(self, query: Query, timeout_seconds: float) -> Reply:
        """The answer; never raises as long as the table has one for every personality and language."""
        del timeout_seconds
        if query.at_risk:
            return Reply(text=self._help_answers[query.language], model=MODEL)
        chosen = self.choose(query)
        return Reply(text=chosen.text, model=MODEL, canned_id=chosen.id)

    async def stream(self, query: Query, timeout_seconds: float) -> AsyncGenerator[str | Reply]:
        """The whole text at once."""
        reply = await self.answer(query, timeout_seconds)
        yield reply.text
        yield reply

    def choose(self, query: Query) -> CannedAnswer:
        """The answer that fits best: most keywords in common with the question, not the session's previous one.

        Among equals the question's id decides, so that a replay of the record chooses the same again.
        """
        cell = (
            self._cells.get((query.personality, query.language, query.category))
            or self._cells[query.personality, query.language, Category.GENERAL]
        )
        fresh = [answer for answer in cell if answer.id != query.previous_canned_id] or cell
        words = set(fold(query.question))
        overlaps = [len(words & answer.keywords) for answer in fresh]
        best = max(overlaps)
        equals = [answer for answer, overlap in zip(fresh, overlaps, strict=True) if overlap == best]
        return equals[query.question_id.int % len(equals)]
