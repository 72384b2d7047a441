"""Words and phrases and what they say, looked up in a list of words."""

import re
from bisect import insort
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

Votes = int  # a set, one bit each, whose meaning is the caller's

_START, _END = "^", "$"
_CLASS, _ANY, _REST = "@", "_", "*"
_KEY: Final = 2  # so many first letters of a word decide which starts are tried, so many last ones which ends
_SHORTEST_BASE: Final = 4  # letters; shorter ones are too often other words
_DRAWN_OUT: Final = re.compile(r"([^\W\d])\1{2,}")
_THRICE: Final = re.compile(r"(.)\1\1")  # finds what `_DRAWN_OUT` shortens, and more, in a third of the time


class _Node:
    """What may follow in a phrase, each part as it is written in the lists, and what it says if it ends here."""

    __slots__ = ("children", "openings", "votes")

    def __init__(self, children: dict[str, "_Node"], votes: Votes | None = None) -> None:
        self.votes = votes
        self.children = children
        self.openings: _Openings | None = None  # what may follow but whole words; most nodes have none

    def put(self, part: str, node: "_Node") -> None:
        self.children[part] = node
        if part[-1] == _REST or part[0] == _CLASS or part[0] == _ANY:
            self.openings = self.openings or _Openings()
            self.openings.add(part, node)

    def following(self, token: str, classes: Mapping[str, tuple[str, ...]]) -> list["_Node"]:
        """`_` and the classes of the word first, then the starts from short to long, then the whole word."""
        children, openings = self.children, self.openings
        found = []
        if openings is not None:
            if openings.any_word is not None:
                found.append(openings.any_word)
            if openings.takes_class and token in classes:
                found += [children[name] for name in classes[token] if name in children]
            if token[0] in openings.letters:
                found.append(openings.letters[token[0]])
            if openings.lengths:
                for length in openings.lengths.get(token[:_KEY], ()):
                    start = token[:length] + _REST
                    if start in children:
                        found.append(children[start])
        if token in children:
            found.append(children[token])
        return found


class _Openings:
    """The children of a node that stand for many words."""

    __slots__ = ("any_word", "lengths", "letters", "takes_class")

    def __init__(self) -> None:
        self.any_word: _Node | None = None
        self.takes_class = False
        self.letters: dict[str, _Node] = {}  # the starts of one letter
        self.lengths: dict[str, list[int]] = {}  # of the longer starts, by how they begin

    def add(self, part: str, node: _Node) -> None:
        length = len(part) - len(_REST)
        if part == _ANY:
            self.any_word = node
        elif part[0] == _CLASS:
            self.takes_class = True
        elif length < _KEY:
            self.letters[part[0]] = node
        else:
            lengths = self.lengths.setdefault(part[:_KEY], [])
            if length not in lengths:
                insort(lengths, length)


class _Tree:
    """The entries by their parts. Where nothing may follow, all that say the same end in one node: most do."""

    def __init__(self) -> None:
        self.root = _Node({})
        self._leaves: dict[Votes, _Node] = {}
        self._parts: dict[str, str] = {}  # one object for equal ones: the small words are in thousands of phrases

    def add(self, parts: Sequence[str], votes: Votes) -> None:
        *before, last = parts
        node = self.root
        for part in before:
            onward = node.children.get(part)
            if onward is None or onward.children is _CHILDLESS:
                onward = _Node({}, None if onward is None else onward.votes)
                node.put(self._parts.setdefault(part, part), onward)
            node = onward
        end = node.children.get(last)
        if end is None:
            node.put(self._parts.setdefault(last, last), self._leaf(votes))
        elif end.children is _CHILDLESS:
            node.put(last, self._leaf(votes | (end.votes or 0)))
        else:
            end.votes = votes | (end.votes or 0)

    def _leaf(self, votes: Votes) -> _Node:
        leaf = self._leaves.get(votes)
        if leaf is None:
            leaf = self._leaves[votes] = _Node(_CHILDLESS, votes)
        return leaf


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
                    self._classes[form] = (*self._classes.get(form, ()), _CLASS + name)
        tree = _Tree()
        self._root = tree.root
        self._ends: dict[str, Votes] = {}
        for entry, votes in entries:
            if entry[0] == _REST:
                self._ends[entry[1:]] = self._ends.get(entry[1:], 0) | votes
            else:
                tree.add(entry.split(), votes)
        for word, node in list(self._root.children.items()):
            for form in plurals(word) if node.votes is not None and word[-1] != _REST else ():
                other = self._root.children.get(form)
                if node.votes is not None and (other is None or other.votes is None):
                    tree.add([form], node.votes)
        self._end_lengths = _lengths(self._ends)
        self._inflections = {ending: tuple(bases) for ending, bases in inflections.items()}
        self._inflection_lengths = _lengths(inflections)
        self._known: dict[str, tuple[Votes, list[_Node]]] = {}  # of words of the lists only: none of an asker's stays

    def votes(self, words: Sequence[str]) -> Votes:
        """What the words say, taken together."""
        spellings, known, classes = self._spellings, self._known, self._classes
        tokens = [_START, *words, _END]
        if not spellings.keys().isdisjoint(words):
            tokens = [spellings.get(token, token) for token in tokens]
        votes, place, end = 0, 0, len(tokens)
        while place < end:
            found, nodes = known.get(tokens[place]) or self._meaning(tokens[place])
            reached = place = place + 1
            while nodes and reached < end:
                token = tokens[reached]
                reached += 1
                onward = []
                for node in nodes:
                    if node.openings is not None:
                        following = node.following(token, classes)
                    elif token in node.children:
                        following = [node.children[token]]
                    else:
                        continue
                    for child in following:
                        if child.votes is not None:
                            place, found = reached, child.votes
                        if child.children:
                            onward.append(child)
                nodes = onward
            votes |= found
        return votes

    def _meaning(self, token: str) -> tuple[Votes, list[_Node]]:
        """What a token says alone, and where the phrases that it may begin go on."""
        nodes = self._root.following(token, self._classes)
        if nodes:
            alone = [node.votes for node in nodes if node.votes is not None]
            meaning = alone[-1] if alone else self._end_votes(token), [node for node in nodes if node.children]
        elif base := self._base(token):
            return self._known.get(base) or self._meaning(base)
        else:
            meaning = self._end_votes(token), nodes
        if token in self._root.children or token in self._classes or token in self.function_words:
            self._known[token] = meaning
        return meaning

    def _end_votes(self, token: str) -> Votes:
        for n in _fitting(self._end_lengths, token):
            if token[-n:] in self._ends:
                return self._ends[token[-n:]]
        return 0

    def _base(self, token: str) -> str | None:
        """The listed word that an unlisted one is a form of, if there is one."""
        if _THRICE.search(token) and (short := _DRAWN_OUT.sub(r"\1", token)) != token:
            return short
        for n in _fitting(self._inflection_lengths, token):
            for ending in self._inflections.get(token[-n:], ()):
                base = token[:-n] + ending
                if len(base) >= _SHORTEST_BASE and (base in self._root.children or base in self._classes):
                    return base
        return None


def _lengths(endings: Collection[str]) -> dict[str, list[int]]:
    """How long the endings of a word may be, from long to short, by its last letters."""
    lengths: dict[str, list[int]] = {}
    for key in {ending[-_KEY:] for ending in endings}:
        fitting = {len(ending) for ending in endings if ending[-_KEY:] == key or key.endswith(ending)}
        lengths[key] = sorted(fitting, reverse=True)
    return lengths


def _fitting(lengths: Mapping[str, Sequence[int]], token: str) -> Sequence[int]:
    """Those of `_lengths` that an ending of this word may have."""
    return lengths.get(token[-_KEY:]) or lengths.get(token[-1:], ())


def plurals(word: str) -> tuple[str, ...]:
    """The regular plurals in both languages: `boda` gives `bodas`, `amor` `amores`, `job` `jobs`."""
    if len(word) < 3 or word[-1] == "s":
        return ()
    return (word + "s",) if word[-1] in "aeiou" else (word + "s", word + "es")
