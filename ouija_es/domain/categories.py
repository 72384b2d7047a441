"""Which category a question belongs to, decided from word lists in Spanish and English."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Self

from ouija_es.domain.vocabulary import Category, Language

SPECIFICITY: Final = (
    Category.DEATH,
    Category.HEALTH,
    Category.FAMILY,
    Category.LOVE,
    Category.MONEY,
    Category.CAREER,
    Category.SPIRITUALITY,
    Category.GENERAL,
    Category.FUTURE,
)
"""Who wins a tie, first to last. That it is about the time ahead is the least that can be said of a question."""

LEVELS: Final = {"decisive": 8, "strong": 4, "medium": 2, "weak": 1, "neutral": 0}
"""What a match counts. Each level counts once: three relatives in a question are no stronger a sign than one."""

_SHIFT: Final = {category: 4 * place for place, category in enumerate(SPECIFICITY)}
_LEVEL_BITS: Final = 0b1111
_CLEAR: Final = LEVELS["decisive"] | LEVELS["strong"]
_HIGHEST: Final = tuple(1 << level.bit_length() >> 1 for level in range(16))
_BACKGROUND: Final = frozenset({Category.GENERAL, Category.FUTURE})  # hints of these two add nothing to a clear sign

_START, _END = "^", "$"
_WORD: Final = re.compile(r"[^\W_]+")
_SENTENCE_END: Final = re.compile(r"[.!?…¡¿\n]+")
_JOINERS: Final = dict.fromkeys((  # apostrophes and what a keyboard types for them, soft hyphen, zero-width characters
    0x27, 0x60, 0xAD, 0xB4, 0x2BC, 0x2018, 0x2019, 0xFF07, 0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2060, 0xFEFF,
))  # fmt: skip

Votes = int
Phrase = tuple[tuple[str, ...], Votes]  # the words after the first


def fold(text: str) -> list[str]:
    """The words of a text as they are compared: casefolded, accents off (ñ is n), apostrophes out (`don't`: `dont`)."""
    text = text.casefold().translate(_JOINERS)
    if not text.isascii():
        decomposed = unicodedata.normalize("NFKD", text)
        text = "".join(char for char in decomposed if not unicodedata.combining(char)).casefold()
    return _WORD.findall(text)


class Lexicon:
    """One language's entries, indexed by their first word.

    An entry is a word (`amor`), the start of one (`enamor*`), the end of one (`*aremos`) or a phrase of several words
    and starts (`alma gemel*`), in which `^` and `$` are the ends of the question. Of what fits at a place the longest
    phrase wins, then the whole word (or its plural), then the longest start, then the longest end; the words of a
    phrase count no further, so `heart attack` has no heart in it. A `neutral` entry only takes its words away.
    """

    def __init__(
        self,
        lists: Mapping[Category, Mapping[str, Iterable[str]]],
        spellings: Mapping[str, str],
        function_words: Iterable[str],
    ) -> None:
        self.function_words = frozenset(function_words)
        self._spellings = dict(spellings)
        self._words: dict[str, Votes] = {}
        self._starts: dict[str, Votes] = {}
        self._ends: dict[str, Votes] = {}
        self._phrases: dict[str, dict[tuple[str, ...], Votes]] = {}
        self._phrase_starts: dict[str, dict[tuple[str, ...], Votes]] = {}
        for category, levels in lists.items():
            for level, entries in levels.items():
                for entry in entries:
                    self._add(entry, LEVELS[level] << _SHIFT[category])
        for word, votes in list(self._words.items()):
            for form in plurals(word):
                self._words.setdefault(form, votes)
        self._start_lengths = sorted({len(start) for start in (*self._starts, *self._phrase_starts)})
        self._end_lengths = sorted({len(end) for end in self._ends}, reverse=True)
        known = {*self._words, *self._phrases, *self.function_words}
        self._known = {word: self._meaning(word) for word in known}  # so that only rare words are looked up by parts

    def _add(self, entry: str, votes: Votes) -> None:
        head, *rest = entry.split()
        if rest:
            index = self._phrase_starts if head.endswith("*") else self._phrases
            phrases = index.setdefault(head.rstrip("*"), {})
            phrases[tuple(rest)] = phrases.get(tuple(rest), 0) | votes
            return
        singles = self._ends if head.startswith("*") else self._starts if head.endswith("*") else self._words
        word = head.strip("*")
        singles[word] = singles.get(word, 0) | votes

    def votes(self, words: Iterable[str]) -> Votes:
        """Four bits for each category, in the order of `SPECIFICITY`: the levels at which something matched."""
        spellings, known = self._spellings, self._known
        tokens = [_START, *[spellings.get(word, word) for word in words], _END]
        votes, place, end = 0, 0, len(tokens)
        while place < end:
            alone, phrases = known.get(tokens[place]) or self._meaning(tokens[place])
            place += 1
            for rest, found in phrases:
                if _follows(tokens, place, rest):
                    votes |= found
                    place += len(rest)
                    break
            else:
                votes |= alone
        return votes

    def _meaning(self, token: str) -> tuple[Votes, Sequence[Phrase]]:
        """What a token says alone, and the phrases it may begin, longest first."""
        by_start: Votes | None = None
        phrases = self._phrases.get(token)
        for length in self._start_lengths:
            if length > len(token):
                break
            start = token[:length]
            by_start = self._starts.get(start, by_start)
            if start in self._phrase_starts:
                phrases = {**(phrases or {}), **self._phrase_starts[start]}
        alone = self._words.get(token, by_start)
        if alone is None:
            ends = (self._ends.get(token[-length:]) for length in self._end_lengths if length < len(token))
            alone = next((votes for votes in ends if votes is not None), 0)
        return alone, sorted(phrases.items(), key=_by_length) if phrases else ()


def plurals(word: str) -> tuple[str, ...]:
    """The regular plurals in both languages: `boda` gives `bodas`, `amor` `amores`, `job` `jobs`."""
    if len(word) < 3 or word[-1] == "s":
        return ()
    return (word + "s",) if word[-1] in "aeiou" else (word + "s", word + "es")


def _by_length(phrase: Phrase) -> int:
    return -len(phrase[0])


def _follows(tokens: Sequence[str], place: int, rest: tuple[str, ...]) -> bool:
    if place + len(rest) > len(tokens):
        return False
    for token, wanted in zip(tokens[place:], rest, strict=False):
        if token != wanted and not (wanted[-1] == "*" and token.startswith(wanted[:-1])):
            return False
    return True


class Classifier:
    """Decides what a question is about. Pure and never changed: safe to share between threads."""

    def __init__(self, lexicons: Mapping[Language, Lexicon]) -> None:
        self._lexicons = dict(lexicons)

    @classmethod
    def from_lists(cls, lists: Mapping[Language, Mapping[str, Any]]) -> Self:
        """From `seeds/categories/<language>.json`: each category's entries by level, `spellings`, `function_words`.

        Raises ValueError for an unknown category, KeyError for an unknown level or a missing part.
        """
        return cls({language: _lexicon(parts) for language, parts in lists.items()})

    def classify(self, question: str, language: Language) -> Category:
        """The category with the strongest match, in a tie the more specific one; `GENERAL` if nothing matches."""
        words = fold(question)
        for lexicon in self._readings(words, language):
            if votes := lexicon.votes(words):
                return self._told_at_the_end(question, lexicon) or _winner(votes)
        return Category.GENERAL

    def _readings(self, words: Sequence[str], language: Language) -> list[Lexicon]:
        """Whose lists to try: people forget the language field, and Spanish `son` is not the English one."""
        stated = self._lexicons[language]
        readings = [stated]
        own = sum(map(stated.function_words.__contains__, words))
        for other in self._lexicons.values():
            if other is not stated:
                theirs = sum(map(other.function_words.__contains__, words))
                if theirs >= own:
                    readings.insert(0 if theirs > own else 1, other)
        return readings

    @staticmethod
    def _told_at_the_end(question: str, lexicon: Lexicon) -> Category | None:
        """A story ends with what is asked: its last sentence decides if it says strongly what it is about."""
        sentences = [sentence for sentence in _SENTENCE_END.split(question) if sentence and not sentence.isspace()]
        if len(sentences) < 2:
            return None
        votes = lexicon.votes(fold(sentences[-1]))
        winner = _winner(votes)
        return winner if votes >> _SHIFT[winner] & _CLEAR and winner not in _BACKGROUND else None


def _lexicon(parts: Mapping[str, Any]) -> Lexicon:
    lists = {Category(name): levels for name, levels in parts.items() if name not in ("spellings", "function_words")}
    return Lexicon(lists, parts["spellings"], parts["function_words"])


def _winner(votes: Votes) -> Category:
    best, winner = 0, Category.GENERAL
    for category, shift in _SHIFT.items():
        level = votes >> shift & _LEVEL_BITS
        if category in _BACKGROUND:
            level = _HIGHEST[level]
        if level > best:
            best, winner = level, category
    return winner
