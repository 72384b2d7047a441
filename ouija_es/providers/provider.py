"""What the chain and the providers say to each other."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Protocol
from uuid import UUID

import msgspec

from ouija_es.domain.persona import Exchange
from ouija_es.domain.unspoken import Unspoken
from ouija_es.domain.vocabulary import Category, Language, Personality, Provider
from ouija_es.providers.status import NO_HEADERS

ANSWER_TOKENS = 130
"""What a model may generate: 60 words of Spanish and some slack."""
SYSTEM_CHARACTERS = 600
"""More than the longest system message and the fences have."""


class Query(Unspoken, frozen=True):
    """What a provider needs to answer one question. `at_risk`: it is about self-harm, and no model is asked."""

    question_id: UUID
    question: str
    personality: Personality
    language: Language
    category: Category
    at_risk: bool = False
    history: Sequence[Exchange] = ()
    previous_canned_id: str | None = None
    trace_headers: dict[str, str] = msgspec.field(default_factory=dict)
    """What the attempt under way sends along, so that the provider's side belongs to the same trace."""

    @property
    def tokens_at_most(self) -> int:
        """An upper bound of what a model's answer will count: prompt, history and question, and what it may generate.

        Spanish takes a token for three to four characters in the models' tokenizers.
        """
        characters = SYSTEM_CHARACTERS + len(self.question)
        for exchange in self.history:
            characters += len(exchange.question) + len(exchange.response)
        return characters // 3 + ANSWER_TOKENS


class Reply(Unspoken, frozen=True):
    """A provider's answer. `truncated`: it was cut at the token limit, then at its last full sentence."""

    text: str
    model: str
    truncated: bool = False
    input_tokens: int | None = None
    output_tokens: int | None = None
    canned_id: str | None = None
    rate_limit: Mapping[str, str] = NO_HEADERS


class AnsweringProvider(Protocol):
    """A tier of the fallback."""

    name: Provider
    model: str

    async def answer(self, query: Query, timeout_seconds: float) -> Reply:
        """The answer, within `timeout_seconds`. Raises ProviderError, nothing else."""

    def stream(self, query: Query, timeout_seconds: float) -> AsyncGenerator[str | Reply]:
        """As `answer`, but with the text piece by piece as it comes, and the whole reply last."""
