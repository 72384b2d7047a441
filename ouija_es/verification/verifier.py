"""The check itself: every link is computed anew, every seal looked at, in one pass with flat memory."""

import struct
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import chain

from ouija_es.domain.events import FINAL, TOPIC_OF, Erased, Sealed
from ouija_es.store.ledger import GENESIS, LogRow, link
from ouija_es.store.mapper import UnreadableEvent, decoded
from ouija_es.store.seals import Links, flaw
from ouija_es.verification.diagnosis import diagnose
from ouija_es.verification.findings import Head, Kind, Report, Wrong

_SEALED = TOPIC_OF[Sealed]
_LAST_OF_A_STREAM = frozenset(TOPIC_OF[event] for event in (*FINAL, Erased, Sealed))

Batches = Iterable[Sequence[LogRow]]


class Verifier:
    """One pass over a log.

    `trusted`: the public keys whose seals count, None: anybody's. `expected`: heads that have to be found.
    """

    def __init__(self, trusted: Container[str] | None = None, expected: Iterable[Head] = ()) -> None:
        self._trusted = trusted
        self._expected: Mapping[int, str] = {head.position: head.hash for head in expected}
        self._links = Links()
        self._versions: dict[str, int] = {}
        self._seals = 0
        self._last_seal: Sealed | None = None
        self._keys: set[str] = set()

    def verify(self, batches: Batches) -> Report:
        """Raises Wrong at the first row that is not right."""
        ordinal, head, position = 0, GENESIS, 0
        expected, versions, add, rest = self._expected, self._versions, self._links.add, iter(batches)
        for batch in rest:
            for row in batch:
                ordinal += 1
                position, stream, version, topic, state, own = row
                try:
                    computed = link(head, ordinal, stream, version, topic, state)
                except (ValueError, TypeError, AttributeError, struct.error):
                    computed = b""
                if position != ordinal or computed != own:
                    raise diagnose(self._links, head, ordinal, row, _following(batch, row, rest))
                if version == 1:
                    self._check_first(row)
                elif version != versions.get(stream, 0) + 1:
                    raise self._out_of_turn(row)
                if topic in _LAST_OF_A_STREAM:
                    versions.pop(stream, None)
                else:
                    versions[stream] = version
                if topic == _SEALED:
                    self._look_at_seal(row)
                head = computed
                add(head)
                if position in expected and expected[position] != head.hex():
                    raise Wrong(Kind.HEAD_NOT_FOUND, position, f"the hash there is {head.hex()}, {self._since()}")
        self._look_at_end(position)
        return Report(Head(position, head.hex()), self._last_seal, self._seals, frozenset(self._keys))

    def _look_at_seal(self, row: LogRow) -> None:
        try:
            event = decoded(row.topic, row.state)
        except UnreadableEvent as error:
            raise Wrong(Kind.BAD_SEAL, row.position, f"it cannot be read, {self._since()}") from error
        if not isinstance(event, Sealed):
            raise TypeError(row.topic)
        wrong = flaw(event, self._links, self._trusted)
        if wrong is not None:
            raise Wrong(Kind.BAD_SEAL, row.position, f"{wrong}, {self._since()}")
        self._seals += 1
        self._last_seal = event
        self._keys.add(event.public_key)

    def _check_first(self, row: LogRow) -> None:
        if row.stream in self._versions or not _is_canonical(row.stream):
            raise self._out_of_turn(row)

    def _out_of_turn(self, row: LogRow) -> Wrong:
        if not _is_canonical(row.stream):
            return Wrong(Kind.EDITED, row.position, f"the stream is not written as it was: {row.stream[:40]!r}")
        what = f"stream {row.stream} cannot go on with version {row.version}"
        return Wrong(Kind.MISSING, row.position, f"{what}, {self._since()}")

    def _look_at_end(self, end: int) -> None:
        beyond = max(self._expected, default=0)
        if beyond > end:
            raise Wrong(Kind.TRUNCATED, end + 1, f"the log ends at {end}, position {beyond} was noted")

    def _since(self) -> str:
        seal = self._last_seal
        if seal is None:
            return "and nothing before it is sealed"
        return f"what is wrong lies behind position {seal.position}: up to there a good seal holds"


def _is_canonical(stream: str) -> bool:
    """The chain binds the UUID's bytes: its letters must be the ones they are always written in."""
    return len(stream) == 32 and stream.isalnum() and stream == stream.lower()


def _following(batch: Sequence[LogRow], row: LogRow, rest: Iterator[Sequence[LogRow]]) -> Iterator[LogRow]:
    at = next(number for number, it in enumerate(batch) if it is row)
    return chain(batch[at + 1 :], chain.from_iterable(rest))
