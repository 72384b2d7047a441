"""What the chain and the providers say to each other."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from ouija_es.domain.persona import Exchange
from ouija_es.domain.vocabulary import Category, Language, Personality, Provider

ANSWER_TOKENS = 130
"""What a model may generate: 60 words of Spanish and some slack."""
SYSTEM_CHARACTERS = 600
"""More than the longest system message and the fences have."""


@dataclass(frozen=True, slots=True)
class Query:
    """What a provider needs to answer one question. `at_risk`: it is about self-harm, and no model is asked."""

    question_id: UUID
    question: str
    personality: Personality
    language: Language
    category: Category
    at_risk: bool = False
    history: Sequence[Exchange] = field(default=(), repr=False)
    previous_canned_id: str | None = None
    trace_headers: dict[str, str] = field(default_factory=dict, repr=False)
    """What the attempt under way sends along, so that the provider's side belongs to the same trace."""
    tokens_at_most: int = field(init=False)
    """An upper bound of what a model's answer will count: prompt, history and question, and what it may generate.

    Spanish takes a token for three to four characters in the models' tokenizers.
    """

    def __post_init__(self) -> None:
        characters = SYSTEM_CHARACTERS + len(self.question)
        for exchange in self.history:
            characters += len(exchange.question) + len(exchange.response)
        object.__setattr__(self, "tokens_at_most", characters // 3 + ANSWER_TOKENS)


@dataclass(frozen=True, slots=True)
class Reply:
    """A provider's answer. `truncated`: it was cut at the token limit, then at its last full sentence."""

    text: str
    model: str
    truncated: bool = False
    input_tokens: int | None = None
    output_tokens: int | None = None
    canned_id: str | None = None
    rate_limit: Mapping[str, str] = field(default_factory=dict, repr=False)


class AnsweringProvider(Protocol):
    """A tier of the fallback."""

    name: Provider
    model: str

    async def answer(self, query: Query, timeout_seconds: float) -> Reply:
        """The answer, within `timeout_seconds`. Raises ProviderError, nothing else."""

    def stream(self, query: Query, timeout_seconds: float) -> AsyncGenerator[str | Reply]:
        """As `answer`, but with the text piece by piece as it comes, and the whole reply last."""
