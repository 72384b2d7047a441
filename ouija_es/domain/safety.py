"""Questions about suicide and self-harm: how they are noticed, and the words that answer them, out of character."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypedDict

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


class SafetyScreen:
    """Looks in every language at once, as people write in another one than they chose.

    It prefers a false alarm, which costs one kind answer, to a miss. A subject's patterns are compiled when a question
    is first near it; who goes through `preparations` before spares it the wait.
    """

    def __init__(self, words: Mapping[Language, SafetyWords]) -> None:
        self._words = words
        self._subjects = [(lists, subject) for lists in words.values() for subject in lists["risk"].values()]
        self._risks: list[re.Pattern[str] | None] = [None] * len(self._subjects)
        self._harmless: re.Pattern[str] | None = None
        near: defaultdict[str, set[int]] = defaultdict(set)
        for place, (_, subject) in enumerate(self._subjects):
            for word in subject["near"].split():
                near[word[:BEGINNING]].add(place)
        self._near = dict(near)
        """The beginning of a word to the places in `_subjects` of what may be found around it."""

    def preparations(self) -> list[Callable[[], object]]:
        """What compiles them, bit by bit, some milliseconds each.

        They raise `KeyError` for a `{name}` without words, `re.error` for a pattern that does not compile.
        """
        return [*(partial(self._risk, place) for place in range(len(self._subjects))), partial(self._but_harmless, "")]

    def at_risk(self, question: str, words: Sequence[str] | None = None) -> bool:
        """Whether `question` speaks of suicide or self-harm, the asker's own or another's, plainly or in hints.

        `words` is the folded question, if somebody has it already.
        """
        if words is None or _THRICE.search(question):
            words = fold(_STRETCHED.sub(r"\1", question))
        near_words = self._near
        near: set[int] = set()
        for word in words:
            if (beginning := word[:BEGINNING]) in near_words:
                near |= near_words[beginning]
        if not near:
            return False
        text = " " + " ".join(words)
        risks = [self._risks[place] or self._risk(place) for place in near]
        if not any(risk.search(text) for risk in risks):
            return False
        # Only the harmless words go ("me muero de risa"), so that what else is said still counts.
        rest = self._but_harmless(text)
        return any(risk.search(rest) for risk in risks)

    def answer(self, language: Language) -> str:
        """What is said instead of a prophecy; it names help lines."""
        return self._words[language]["answer"]

    def _risk(self, place: int) -> re.Pattern[str]:
        risk = self._risks[place]
        if risk is None:  # two threads may both come here: they make the same
            lists, subject = self._subjects[place]
            risk = self._risks[place] = _compiled(_expanded(pattern, lists) for pattern in subject["patterns"])
        return risk

    def _but_harmless(self, text: str) -> str:
        if self._harmless is None:
            self._harmless = _compiled(
                _expanded(pattern, lists) for lists in self._words.values() for pattern in lists["harmless"]
            )
        return self._harmless.sub(" _", text)


_STRETCHED = re.compile(r"(\w)\1{2,}")  # "moriiiir"
_THRICE = re.compile(r"(.)\1\1")  # finds every question that has something stretched, and more, in a third of the time
_NAME = re.compile(r"\{([a-z_]+)\}")


def _expanded(pattern: str, lists: SafetyWords) -> str:
    return _NAME.sub(lambda name: f"(?:{'|'.join(lists['words'][name[1]])})", pattern)


def _compiled(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile(rf" (?:{'|'.join(patterns)})\b")
