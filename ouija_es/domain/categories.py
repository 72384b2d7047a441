"""Which category a question belongs to, decided from word lists in Spanish and English."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import reduce
from operator import or_
from typing import Any, Final, Self

from ouija_es.domain.vocabulary import Category, Language

SPECIFICITY: Final = (
    Category.DEATH,
    Category.HEALTH,
    Category.FAMILY,
    Category.MONEY,
    Category.LOVE,
    Category.CAREER,
    Category.SPIRITUALITY,
    Category.GENERAL,
    Category.FUTURE,
)
"""Who wins a tie, first to last. That it is about the time ahead is the least that can be said of a question."""


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


_START, _END = "^", "$"
_WORD: Final = re.compile(r"[^\W_]+")
_SENTENCE_END: Final = re.compile(r"[.!?…¡¿\n]+")
_JOINERS: Final = dict.fromkeys((  # apostrophes and what a keyboard types for them, soft hyphen, zero-width characters
    0x27, 0x60, 0xAD, 0xB4, 0x2BC, 0x2018, 0x2019, 0xFF07, 0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2060, 0xFEFF,
))  # fmt: skip

Votes = int  # a set of (level, category), one bit each; the more a pair counts, the higher its bit


def fold(text: str) -> list[str]:
    """The words of a text as they are compared: casefolded, accents off (ñ is n), apostrophes out (`don't`: `dont`)."""
    text = text.casefold().translate(_JOINERS)
    if not text.isascii():
        decomposed = unicodedata.normalize("NFKD", text)
        text = "".join(char for char in decomposed if not unicodedata.combining(char)).casefold()
    return _WORD.findall(text)


class _Node:
    """What may follow in a phrase, as whole words and as starts of words, and what it says if it ends here."""

    __slots__ = ("lengths", "starts", "votes", "words")

    def __init__(self) -> None:
        self.votes: Votes | None = None
        self.words: dict[str, _Node] = {}
        self.starts: dict[str, _Node] = {}
        self.lengths: dict[str, list[int]] = {}  # of the starts, ascending, by their first letter

    def child(self, entry: str) -> "_Node":
        if not entry.endswith("*"):
            return self.words.setdefault(entry, _Node())
        start = entry[:-1]
        self.lengths[start[0]] = sorted({*self.lengths.get(start[0], ()), len(start)})
        return self.starts.setdefault(start, _Node())

    def following(self, token: str) -> list["_Node"]:
        """Whole word first, then the starts from short to long."""
        found = [self.words[token]] if token in self.words else []
        if token[0] in self.lengths:
            found += [self.starts[token[:n]] for n in self.lengths[token[0]] if token[:n] in self.starts]
        return found


class Lexicon:
    """One language's entries.

    An entry is a word (`amor`), the start of one (`enamor*`), the end of one (`*aremos`) or a phrase of several words
    and starts (`alma gemel*`), in which `^` and `$` are the ends of the question. Of what fits at a place the longest
    phrase wins, then the whole word (or its plural), then the longest start, then the longest end; the words of a
    phrase count no further, so `heart attack` has no heart in it.
    """

    def __init__(
        self,
        lists: Mapping[Category, Mapping[str, Iterable[str]]],
        spellings: Mapping[str, str],
        function_words: Iterable[str],
    ) -> None:
        self.function_words = frozenset(function_words)
        self._spellings = dict(spellings)
        self._root = _Node()
        self._ends: dict[str, Votes] = {}
        for category, levels in lists.items():
            for level, entries in levels.items():
                votes = _vote(category, Level(level))
                for entry in entries:
                    self._add(entry, votes)
        for word, node in list(self._root.words.items()):
            for form in plurals(word) if node.votes is not None else ():
                other = self._root.words.setdefault(form, _Node())
                other.votes = node.votes if other.votes is None else other.votes
        self._end_lengths = sorted({len(end) for end in self._ends}, reverse=True)
        self._known: dict[str, tuple[Votes, list[_Node]]] = {}  # of words of the lists only: none of an asker's stays

    def _add(self, entry: str, votes: Votes) -> None:
        if entry.startswith("*"):
            self._ends[entry[1:]] = self._ends.get(entry[1:], 0) | votes
            return
        node = self._root
        for part in entry.split():
            node = node.child(part)
        node.votes = votes | (node.votes or 0)

    def votes(self, words: Iterable[str]) -> Votes:
        """What the words say, taken together."""
        spellings, known = self._spellings, self._known
        tokens = [_START, *[spellings.get(word, word) for word in words], _END]
        votes, place, end = 0, 0, len(tokens)
        while place < end:
            found, nodes = known.get(tokens[place]) or self._meaning(tokens[place])
            reached = place = place + 1
            while nodes and reached < end:
                token = tokens[reached]
                nodes = [child for node in nodes for child in node.following(token)]
                reached += 1
                ending = [node.votes for node in nodes if node.votes is not None]
                if ending:
                    place, found = reached, reduce(or_, ending)
            votes |= found
        return votes

    def _meaning(self, token: str) -> tuple[Votes, list[_Node]]:
        """What a token says alone, and where the phrases that it may begin go on."""
        nodes = self._root.following(token)
        alone = [node.votes for node in nodes if node.votes is not None]
        whole = self._root.words.get(token)
        if alone:
            votes = alone[-1] if whole is None or whole.votes is None else whole.votes
        else:
            votes = next((self._ends[token[-n:]] for n in self._end_lengths if token[-n:] in self._ends), 0)
        meaning = votes, [node for node in nodes if node.words or node.starts]
        if whole is not None or token in self.function_words:
            self._known[token] = meaning
        return meaning


def plurals(word: str) -> tuple[str, ...]:
    """The regular plurals in both languages: `boda` gives `bodas`, `amor` `amores`, `job` `jobs`."""
    if len(word) < 3 or word[-1] == "s":
        return ()
    return (word + "s",) if word[-1] in "aeiou" else (word + "s", word + "es")


class Classifier:
    """Decides what a question is about. The answer depends on the question alone; safe to share between threads."""

    def __init__(self, lexicons: Mapping[Language, Lexicon]) -> None:
        self._lexicons = dict(lexicons)

    @classmethod
    def from_lists(cls, lists: Mapping[Language, Mapping[str, Any]]) -> Self:
        """From `seeds/categories/<language>.json`: each category's entries by level, `spellings`, `function_words`.

        Raises ValueError for an unknown category or level, KeyError for a missing part.
        """
        return cls({language: _lexicon(parts) for language, parts in lists.items()})

    def classify(self, question: str, language: Language) -> Category:
        """The category with the strongest match, in a tie the more specific one; `GENERAL` if nothing matches."""
        words = fold(question)
        for lexicon in self._readings(words, language):
            if votes := lexicon.votes(words):
                return _winner(_asked(question, lexicon) or votes)
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


def _asked(question: str, lexicon: Lexicon) -> Votes:
    """A story ends with what it asks: the last sentence's votes if they name a subject beyond doubt, else none."""
    *story, last = filter(str.strip, _SENTENCE_END.split(question))
    votes = lexicon.votes(fold(last)) if story else 0
    return votes if votes >= _BEYOND_DOUBT and _winner(votes) not in _BACKDROP else 0


def _lexicon(parts: Mapping[str, Any]) -> Lexicon:
    lists = {Category(name): levels for name, levels in parts.items() if name not in ("spellings", "function_words")}
    return Lexicon(lists, parts["spellings"], parts["function_words"])


def _vote(category: Category, level: Level) -> Votes:
    place = SPECIFICITY.index(Category.GENERAL if level is Level.NEUTRAL else category)
    return 1 << (list(Level).index(level) * len(Category) + len(Category) - 1 - place)


def _winner(votes: Votes) -> Category:
    return SPECIFICITY[-votes.bit_length() % len(Category)]


_BEYOND_DOUBT: Final = _vote(Category.FUTURE, Level.STRONG)
_BACKDROP: Final = frozenset({Category.GENERAL, Category.FUTURE})
