"""Words and phrases and what they say, looked up in a list of words."""

import re
from bisect import insort
from collections.abc import Iterable, Mapping
from typing import Final

Votes = int  # a set, one bit each, whose meaning is the caller's

_START, _END = "^", "$"
_CLASS, _ANY, _REST = "@", "_", "*"
_ANY_WORD: Final = (_ANY,)
_SHORTEST_BASE: Final = 4  # letters; shorter ones are too often other words
_DRAWN_OUT: Final = re.compile(r"([^\W\d])\1{2,}")


class _Node:
    """What may follow in a phrase, each part as it is written in the lists, and what it says if it ends here."""

    __slots__ = ("children", "lengths", "open", "votes")

    def __init__(self) -> None:
        self.votes: Votes | None = None
        self.children = _CHILDLESS
        self.open = False  # whether a class or any word may follow
        self.lengths: dict[str, list[int]] | None = None  # of the starts that may follow, by their first letter

    def child(self, part: str) -> "_Node":
        node = self.children.get(part)
        if node is None:
            if self.children is _CHILDLESS:
                self.children = {}
            node = self.children[part] = _Node()
            if part[-1] == _REST:
                self.lengths = {} if self.lengths is None else self.lengths
                lengths = self.lengths.setdefault(part[0], [])
                if len(part) - 1 not in lengths:
                    insort(lengths, len(part) - 1)
            elif part[0] in _CLASS + _ANY:
                self.open = True
        return node

    def following(self, token: str, classes: Mapping[str, tuple[str, ...]]) -> list["_Node"]:
        """`_` and the classes of the word first, then the starts from short to long, then the whole word."""
        children = self.children
        whole = children.get(token)
        found = []
        if self.open:
            found += [children[name] for name in classes.get(token, _ANY_WORD) if name in children]
        if self.lengths is not None and token[0] in self.lengths:
            starts = [token[:n] + _REST for n in self.lengths[token[0]]]
            found += [children[start] for start in starts if start in children]
        if whole is not None:
            found.append(whole)
        return found


# Shared by all ends of phrases: most nodes are such an end, and making a dict for each takes a fifth of the build.
_CHILDLESS: Final[dict[str, _Node]] = {}


class Lexicon:
    """One language's entries.

    An entry is a word (`amor`), the start of one (`enamor*`), the end of one (`*aremos`), a class of words (`@kin`) or
    a phrase of several of these (`alma gemel*`, `lost my @kin`), in which `^` and `$` are the ends of the question and
    `_`, not as the first, is any word (`take _ back`). Of what fits at a place the longest phrase wins, then the whole
    word (or its plural), the longest start, the class, the longest end; the words of a phrase count no further, so
    `heart attack` has no heart in it. A word that fits nothing is tried with drawn-out letters shortened (`loveee`) and
    with other endings (`inflections`: an ending to what may stand for it).
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
                    self._classes[form] = (*self._classes.get(form, _ANY_WORD), _CLASS + name)
        self._root = _Node()
        self._ends: dict[str, Votes] = {}
        for entry, votes in entries:
            self._add(entry, votes)
        for word, node in list(self._root.children.items()):
            for form in plurals(word) if node.votes is not None and word[-1] != _REST else ():
                other = self._root.child(form)
                other.votes = node.votes if other.votes is None else other.votes
        self._end_lengths = sorted({len(end) for end in self._ends}, reverse=True)
        self._inflections = {ending: tuple(bases) for ending, bases in inflections.items()}
        self._inflection_lengths = sorted({len(ending) for ending in inflections}, reverse=True)
        self._known: dict[str, tuple[Votes, list[_Node]]] = {}  # of words of the lists only: none of an asker's stays

    def _add(self, entry: str, votes: Votes) -> None:
        if entry[0] == _REST:
            self._ends[entry[1:]] = self._ends.get(entry[1:], 0) | votes
            return
        node = self._root
        for part in entry.split():
            node = node.children.get(part) or node.child(part)
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
                if len(nodes) == 1:
                    nodes = nodes[0].following(token, classes)
                else:
                    nodes = [child for node in nodes for child in node.following(token, classes)]
                reached += 1
                for node in reversed(nodes):
                    if node.votes is not None:
                        place, found = reached, node.votes
                        break
            votes |= found
        return votes

    def _meaning(self, token: str) -> tuple[Votes, list[_Node]]:
        """What a token says alone, and where the phrases that it may begin go on."""
        nodes = self._root.following(token, self._classes)
        if not nodes and (base := self._base(token)):
            return self._known.get(base) or self._meaning(base)
        alone = [node.votes for node in nodes if node.votes is not None]
        if alone:
            votes = alone[-1]
        else:
            votes = next((self._ends[token[-n:]] for n in self._end_lengths if token[-n:] in self._ends), 0)
        meaning = votes, [node for node in nodes if node.children]
        if token in self._root.children or token in self._classes or token in self.function_words:
            self._known[token] = meaning
        return meaning

    def _base(self, token: str) -> str | None:
        """The listed word that an unlisted one is a form of, if there is one."""
        short = _DRAWN_OUT.sub(r"\1", token)
        if short != token:
            return short
        for n in self._inflection_lengths:
            for ending in self._inflections.get(token[-n:], ()):
                base = token[:-n] + ending
                if len(base) >= _SHORTEST_BASE and (base in self._root.children or base in self._classes):
                    return base
        return None


def plurals(word: str) -> tuple[str, ...]:
    """The regular plurals in both languages: `boda` gives `bodas`, `amor` `amores`, `job` `jobs`."""
    if len(word) < 3 or word[-1] == "s":
        return ()
    return (word + "s",) if word[-1] in "aeiou" else (word + "s", word + "es")
