"""Questions about suicide and self-harm: how they are noticed, and the words that answer them, out of character."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
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

    It prefers a false alarm, which costs one kind answer, to a miss.
    """

    def __init__(self, words: Mapping[Language, SafetyWords]) -> None:
        """Raises `KeyError` for a `{name}` without words, `re.error` for a pattern that does not compile."""
        self._answers = {language: lists["answer"] for language, lists in words.items()}
        self._risks: list[re.Pattern[str]] = []
        self._near: defaultdict[str, set[int]] = defaultdict(set)
        for lists in words.values():
            for subject in lists["risk"].values():
                for word in subject["near"].split():
                    self._near[word[:BEGINNING]].add(len(self._risks))
                self._risks.append(_compiled(_expanded(pattern, lists) for pattern in subject["patterns"]))
        self._harmless = _compiled(
            _expanded(pattern, lists) for lists in words.values() for pattern in lists["harmless"]
        )

    def at_risk(self, question: str, words: Sequence[str] | None = None) -> bool:
        """Whether `question` speaks of suicide or self-harm, the asker's own or another's, plainly or in hints.

        `words`: the question folded, if that is done already.
        """
        if words is None or _STRETCHED.search(question):
            words = fold(_STRETCHED.sub(r"\1", question))
        near = {subject for word in words for subject in self._near.get(word[:BEGINNING], ())}
        text = " " + " ".join(words)
        if not any(self._risks[subject].search(text) for subject in near):
            return False
        # Only the harmless words go ("me muero de risa"), so that what else is said still counts.
        rest = self._harmless.sub(" _", text)
        return any(self._risks[subject].search(rest) for subject in near)

    def answer(self, language: Language) -> str:
        """What is said instead of a prophecy; it names help lines."""
        return self._answers[language]


_STRETCHED = re.compile(r"(\w)\1{2,}")  # "moriiiir"
_NAME = re.compile(r"\{([a-z_]+)\}")


def _expanded(pattern: str, lists: SafetyWords) -> str:
    return _NAME.sub(lambda name: f"(?:{'|'.join(lists['words'][name[1]])})", pattern)


def _compiled(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile(rf" (?:{'|'.join(patterns)})\b")
