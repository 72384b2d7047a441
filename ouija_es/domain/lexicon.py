"""Words and phrases and what they say, looked up in a list of words."""

import re
from bisect import insort
from collections.abc import Iterable, Mapping
from functools import reduce
from operator import or_
from typing import Final

Votes = int  # a set, one bit each, whose meaning is the caller's

_START, _END = "^", "$"
_CLASS: Final = "@"
_SHORTEST_BASE: Final = 4  # letters; shorter ones are too often other words
_DRAWN_OUT: Final = re.compile(r"([^\W\d])\1{2,}")


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
            return self.words.get(entry) or self.words.setdefault(entry, _Node())
        start = entry[:-1]
        if start not in self.starts:
            lengths = self.lengths.setdefault(start[0], [])
            if len(start) not in lengths:
                insort(lengths, len(start))
            self.starts[start] = _Node()
        return self.starts[start]

    def following(self, token: str, classes: Iterable[str]) -> list["_Node"]:
        """The classes of the word first, then the starts from short to long, then the whole word."""
        words = self.words
        found = [words[name] for name in classes if name in words]
        if token[0] in self.lengths:
            found += [self.starts[token[:n]] for n in self.lengths[token[0]] if token[:n] in self.starts]
        if token in words:
            found.append(words[token])
        return found


class Lexicon:
    """One language's entries.

    An entry is a word (`amor`), the start of one (`enamor*`), the end of one (`*aremos`), a class of words (`@kin`) or
    a phrase of several of these (`alma gemel*`, `lost my @kin`), in which `^` and `$` are the ends of the question. Of
    what fits at a place the longest phrase wins, then the whole word (or its plural), the longest start, the class,
    the longest end; the words of a phrase count no further, so `heart attack` has no heart in it. A word that fits
    nothing is tried without its ending (`inflections`: ending to what may stand for it) and with its drawn-out letters
    (`loveee`) shortened.
    """

    def __init__(
        self,
        entries: Iterable[tuple[str, Votes]],
        *,
        spellings: Mapping[str, str],
        function_words: Iterable[str],
        classes: Mapping[str, Iterable[str]],
        inflections: Mapping[str, Iterable[str]],
    ) -> None:
        self.function_words = frozenset(function_words)
        self._spellings = dict(spellings)
        self._classes: dict[str, tuple[str, ...]] = {}
        for name, members in classes.items():
            for member in members:
                for form in (member, *plurals(member)):
                    self._classes[form] = (*self._classes.get(form, ()), _CLASS + name)
        self._root = _Node()
        self._ends: dict[str, Votes] = {}
        for entry, votes in entries:
            self._add(entry, votes)
        for word, node in list(self._root.words.items()):
            for form in plurals(word) if node.votes is not None else ():
                other = self._root.child(form)
                other.votes = node.votes if other.votes is None else other.votes
        self._end_lengths = sorted({len(end) for end in self._ends}, reverse=True)
        self._inflections = {ending: tuple(bases) for ending, bases in inflections.items()}
        self._inflection_lengths = sorted({len(ending) for ending in inflections}, reverse=True)
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
        spellings, known, classes = self._spellings, self._known, self._classes
        tokens = [_START, *[spellings.get(word, word) for word in words], _END]
        votes, place, end = 0, 0, len(tokens)
        while place < end:
            found, nodes = known.get(tokens[place]) or self._meaning(tokens[place])
            reached = place = place + 1
            while nodes and reached < end:
                token = tokens[reached]
                names = classes.get(token, ())
                nodes = [child for node in nodes for child in node.following(token, names)]
                reached += 1
                ending = [node.votes for node in nodes if node.votes is not None]
                if ending:
                    place, found = reached, reduce(or_, ending)
            votes |= found
        return votes

    def _meaning(self, token: str) -> tuple[Votes, list[_Node]]:
        """What a token says alone, and where the phrases that it may begin go on."""
        nodes = self._root.following(token, self._classes.get(token, ()))
        if not nodes and (base := self._base(token)):
            return self._known.get(base) or self._meaning(base)
        alone = [node.votes for node in nodes if node.votes is not None]
        if alone:
            votes = alone[-1]
        else:
            votes = next((self._ends[token[-n:]] for n in self._end_lengths if token[-n:] in self._ends), 0)
        meaning = votes, [node for node in nodes if node.words or node.starts]
        if token in self._root.words or token in self._classes or token in self.function_words:
            self._known[token] = meaning
        return meaning

    def _base(self, token: str) -> str | None:
        """The listed word that an unlisted one is a form of, if there is one."""
        words, classes = self._root.words, self._classes
        short = _DRAWN_OUT.sub(r"\1", token)
        if short != token:
            return short
        for n in self._inflection_lengths:
            for ending in self._inflections.get(token[-n:], ()):
                base = token[:-n] + ending
                if len(base) >= _SHORTEST_BASE and (base in words or base in classes):
                    return base
        return None


def plurals(word: str) -> tuple[str, ...]:
    """The regular plurals in both languages: `boda` gives `bodas`, `amor` `amores`, `job` `jobs`."""
    if len(word) < 3 or word[-1] == "s":
        return ()
    return (word + "s",) if word[-1] in "aeiou" else (word + "s", word + "es")
