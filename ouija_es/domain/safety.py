"""Questions about suicide and self-harm: how they are noticed, and the words that answer them, out of character."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple, TypedDict

from ouija_es.domain.categories import fold
from ouija_es.domain.vocabulary import Language

BEGINNING = 5
"""So many first letters of a word decide which patterns are tried."""


class Subject(TypedDict):
    """Patterns that share their subject: whatever one of them matches holds a word that begins like one in `near`."""

    near: str
    patterns: list[str]


class SafetyWords(TypedDict):
    """One language's `seeds/safety/*.json`.

    Patterns are regular expressions over the question's folded words, joined by single spaces; a match begins and ends
    with a word. `{name}` in a pattern stands for any of the alternatives listed under `words`.
    """

    answer: str
    words: dict[str, list[str]]
    risk: dict[str, Subject]
    harmless: list[str]


class _Patterns(NamedTuple):
    risks: list[re.Pattern[str]]
    near: Mapping[str, set[int]]
    """The beginning of a word to the places in `risks` of what may be found around it."""
    harmless: re.Pattern[str]


class SafetyScreen:
    """Looks in every language at once, as people write in another one than they chose.

    It prefers a false alarm, which costs one kind answer, to a miss. The patterns are compiled when they are first
    needed: `prepare` does it before a question waits for it.
    """

    def __init__(self, words: Mapping[Language, SafetyWords]) -> None:
        self._words = words

    def prepare(self) -> None:
        """Compiles. Raises `KeyError` for a `{name}` without words, `re.error` for a pattern that does not compile."""
        _ = self._patterns

    def at_risk(self, question: str, words: Sequence[str] | None = None) -> bool:
        """Whether `question` speaks of suicide or self-harm, the asker's own or another's, plainly or in hints.

        `words` is the folded question, if somebody has it already.
        """
        if words is None or _THRICE.search(question):
            words = fold(_STRETCHED.sub(r"\1", question))
        risks, near_words, harmless = self._patterns
        near: set[int] = set()
        for word in words:
            if (beginning := word[:BEGINNING]) in near_words:
                near |= near_words[beginning]
        if not near:
            return False
        text = " " + " ".join(words)
        if not any(risks[subject].search(text) for subject in near):
            return False
        # Only the harmless words go ("me muero de risa"), so that what else is said still counts.
        rest = harmless.sub(" _", text)
        return any(risks[subject].search(rest) for subject in near)

    def answer(self, language: Language) -> str:
        """What is said instead of a prophecy; it names help lines."""
        return self._words[language]["answer"]

    @cached_property
    def _patterns(self) -> _Patterns:
        risks: list[re.Pattern[str]] = []
        near: defaultdict[str, set[int]] = defaultdict(set)
        for lists in self._words.values():
            for subject in lists["risk"].values():
                for word in subject["near"].split():
                    near[word[:BEGINNING]].add(len(risks))
                risks.append(_compiled(_expanded(pattern, lists) for pattern in subject["patterns"]))
        harmless = _compiled(
            _expanded(pattern, lists) for lists in self._words.values() for pattern in lists["harmless"]
        )
        return _Patterns(risks, dict(near), harmless)


_STRETCHED = re.compile(r"(\w)\1{2,}")  # "moriiiir"
_THRICE = re.compile(r"(.)\1\1")  # finds every question that has something stretched, and more, in a third of the time
_NAME = re.compile(r"\{([a-z_]+)\}")


def _expanded(pattern: str, lists: SafetyWords) -> str:
    return _NAME.sub(lambda name: f"(?:{'|'.join(lists['words'][name[1]])})", pattern)


def _compiled(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile(rf" (?:{'|'.join(patterns)})\b")
