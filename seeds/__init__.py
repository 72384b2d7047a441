"""The words the spirit knows: canned answers, category words and what notices self-harm. Data, and its loader."""

import json
from importlib.resources import files
from typing import Any

from ouija_es.domain.canned import CannedAnswer
from ouija_es.domain.safety import SafetyWords
from ouija_es.domain.vocabulary import Category, Language, Personality


def load_answers() -> list[CannedAnswer]:
    """All canned answers of `answers/<language>/<personality>.json`."""
    return [
        CannedAnswer(
            entry["id"], personality, language, Category(category), entry["text"], frozenset(entry["keywords"])
        )
        for language in Language
        for personality in Personality
        for category, entries in _read("answers", language, f"{personality}.json").items()
        for entry in entries
    ]


def load_category_words() -> dict[Language, Any]:
    """Language to the word lists of `categories/<language>.json`, as `Classifier` takes them."""
    return {language: _read("categories", f"{language}.json") for language in Language}


def load_safety_words() -> dict[Language, SafetyWords]:
    """Language to the patterns and the answer of `safety/<language>.json`."""
    return {language: _read("safety", f"{language}.json") for language in Language}


def _read(*path: str) -> Any:  # noqa: ANN401 - JSON of the caller's shape
    return json.loads(files(__name__).joinpath(*path).read_bytes())
