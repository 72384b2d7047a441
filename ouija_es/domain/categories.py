"""Which category a question belongs to, decided from word lists in Spanish and English."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import filterfalse
from threading import Lock
from typing import Any, Final

from ouija_es.domain.lexicon import Lexicon, Votes
from ouija_es.domain.vocabulary import Category, Language

SPECIFICITY: Final = (
    Category.DEATH,
    Category.HEALTH,
    Category.MONEY,
    Category.FAMILY,
    Category.LOVE,
    Category.SPIRITUALITY,
    Category.CAREER,
    Category.GENERAL,
    Category.FUTURE,
)
"""Who wins a tie, first to last. That it is about the time ahead is the least that can be said of a question.

On the 300 labelled questions of loadtests/ no swap of two neighbours gains more than one, and love before family
loses three.
"""


class Level(StrEnum):
    """What an entry is worth, from least to most.

    The highest level that matched decides, not the number of matches: a question with three relatives in it is no more
    about family than one with one. A neutral entry is worth nothing: it only takes its words away.
    """

    NEUTRAL = "neutral"
    WEAK = "weak"
    MEDIUM = "medium"
    STRONG = "strong"
    DECISIVE = "decisive"


_WORD: Final = re.compile(r"[^\W_]+")
_SENTENCE_ENDS: Final = ".!?…¡¿\n"
_SENTENCE_END: Final = re.compile(f"[{_SENTENCE_ENDS}]+")
_AROUND: Final = _SENTENCE_ENDS + " "  # a question that has none of these but around it is one sentence
_JOINER: Final = re.compile(  # apostrophes and what is typed for them, soft hyphen, zero-width characters
    "['`\u00ad\u00b4\u02bc\u2018\u2019\uff07\u200b-\u200f\u2060\ufeff]"
)


def fold(text: str) -> list[str]:
    """The words of a text as they are compared: casefolded, accents off (ñ is n), apostrophes out (`don't`: `dont`)."""
    try:
        letters = text.encode("latin-1").translate(_LATIN_1, _LATIN_1_JOINERS)
    except UnicodeEncodeError:
        return _folded(text)
    return _folded(text) if _MANY in letters else letters.decode("latin-1").split()


def _folded(text: str) -> list[str]:
    text = _JOINER.sub("", text.casefold())
    if not text.isascii():
        text = "".join(filterfalse(unicodedata.combining, unicodedata.normalize("NFKD", text))).casefold()
    return _WORD.findall(text)


def _latin_1() -> Iterator[int]:
    """What each character of Latin-1 is folded to: they do not depend on each other."""
    for character in map(chr, range(256)):
        words = _folded(character)
        if not words:
            yield ord(" ")
        elif len(words) == len(words[0]) == 1 and ord(words[0]) < 256:
            yield ord(words[0])
        else:
            yield _MANY


_MANY: Final = 0  # stands for what folds to several characters (ß, ¼) or to one beyond Latin-1 (µ)
_LATIN_1: Final = bytes(_latin_1())
_LATIN_1_JOINERS: Final = bytes(code for code in range(256) if _JOINER.match(chr(code)))


class Classifier:
    """Decides what a question is about. The answer depends on the question alone; safe to share between threads.

    The word lists become lexicons when they are first needed: `prepare` does it before a question waits for it.
    """

    def __init__(self, lists: Mapping[Language, Mapping[str, Any]]) -> None:
        """From `seeds/categories/<language>.json`: each category's entries by level, and what else `Lexicon` takes."""
        self._lists: Mapping[Language, Mapping[str, Any]] | None = lists  # until there are lexicons instead
        self._making = Lock()
        self._lexicons: dict[Language, Lexicon] = {}
        self._leanings: dict[Language, list[tuple[Lexicon, dict[str, int]]]] = {}

    def prepare(self) -> None:
        """Makes the lexicons. Raises ValueError for an unknown category or level, KeyError for a missing part."""
        with self._making:
            if self._lists is not None:
                self._lexicons = {language: _lexicon(parts) for language, parts in self._lists.items()}
                self._leanings = _leanings(self._lexicons)
                self._lists = None

    def classify(self, question: str, language: Language, words: Sequence[str] | None = None) -> Category:
        """The category with the strongest match, in a tie the more specific one; `GENERAL` if nothing matches.

        `words` is the folded question, if somebody has it already.
        """
        if self._lists is not None:
            self.prepare()
        words = fold(question) if words is None else words
        for lexicon in self._readings(words, language):
            if votes := lexicon.votes(words):
                return _winner(_asked(question, lexicon) or votes)
        return Category.GENERAL

    def _readings(self, words: Sequence[str], language: Language) -> list[Lexicon]:
        """Whose lists to try: people forget the language field, and Spanish `son` is not the English one."""
        readings = [self._lexicons[language]]
        for other, leanings in self._leanings[language]:
            leaning = 0
            for word in words:
                if word in leanings:
                    leaning += leanings[word]
            if leaning >= 0:
                readings.insert(0 if leaning else 1, other)
        return readings


def _leanings(lexicons: Mapping[Language, Lexicon]) -> dict[Language, list[tuple[Lexicon, dict[str, int]]]]:
    """Of each language the others, with the function words that only one of the two has: 1 if the other, or -1."""
    return {
        language: [
            (
                other,
                dict.fromkeys(other.function_words - stated.function_words, 1)
                | dict.fromkeys(stated.function_words - other.function_words, -1),
            )
            for other in lexicons.values()
            if other is not stated
        ]
        for language, stated in lexicons.items()
    }


def _asked(question: str, lexicon: Lexicon) -> Votes:
    """A story ends with what it asks: the last sentence's votes if they name a subject beyond doubt, else none."""
    text = question.strip(_AROUND)
    for mark in _SENTENCE_ENDS:
        if mark in text:
            break
    else:
        return 0
    *story, last = filter(str.strip, _SENTENCE_END.split(text))
    votes = lexicon.votes(fold(last)) if story else 0
    return votes if votes >= _BEYOND_DOUBT and _winner(votes) not in _BACKDROP else 0


def _lexicon(parts: Mapping[str, Any]) -> Lexicon:
    lists = {Category(name): levels for name, levels in parts.items() if name not in _RULES}
    return Lexicon(
        (
            (entry, vote)
            for category, levels in lists.items()
            for level, entries in levels.items()
            for vote in [_vote(category, Level(level))]
            for entry in entries
        ),
        **{rule: parts[rule] for rule in _RULES},
    )


def _vote(category: Category, level: Level) -> Votes:
    """One bit for the pair: the more it counts, the higher."""
    place = SPECIFICITY.index(Category.GENERAL if level is Level.NEUTRAL else category)
    return 1 << (list(Level).index(level) * len(Category) + len(Category) - 1 - place)


def _winner(votes: Votes) -> Category:
    return SPECIFICITY[-votes.bit_length() % len(SPECIFICITY)]


_RULES: Final = ("spellings", "function_words", "classes", "inflections")
_BEYOND_DOUBT: Final = _vote(Category.FUTURE, Level.STRONG)
_BACKDROP: Final = frozenset({Category.GENERAL, Category.FUTURE})
