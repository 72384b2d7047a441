"""A hand-written answer of the last tier."""

from dataclasses import dataclass

from ouija_es.domain.vocabulary import Category, Language, Personality


@dataclass(frozen=True, slots=True)
class CannedAnswer:
    """One answer. `keywords` are folded words of questions it fits especially well."""

    id: str
    personality: Personality
    language: Language
    category: Category
    text: str
    keywords: frozenset[str]
