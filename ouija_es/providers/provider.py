"""What the chain and the providers say to each other."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from ouija_es.domain.persona import Exchange
from ouija_es.domain.vocabulary import Category, Language, Personality, Provider


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


@dataclass(frozen=True, slots=True)
class Reply:
    """A provider's answer. `truncated`: it was cut at the token limit, then at its last full sentence."""

    text: str
    model: str
    truncated: bool = False
    input_tokens: int | None = None
    output_tokens: int | None = None
    canned_id: str | None = None


class AnsweringProvider(Protocol):
    """A tier of the fallback."""

    name: Provider
    model: str

    async def answer(self, query: Query, timeout_seconds: float) -> Reply:
        """The answer, within `timeout_seconds`. Raises ProviderError, nothing else."""
