"""The fallback's decisions of a whole log made again, from the log alone: nobody is called, nothing is written."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from uuid import UUID

from ouija_es.domain.events import (
    FINAL,
    TOPIC_OF,
    Abandoned,
    Asked,
    AttemptFailed,
    AttemptSkipped,
    AttemptStarted,
    AttemptSucceeded,
    Event,
    PolicyAdopted,
    Withdrawn,
)
from ouija_es.fallback.course import Counts, Course, Difference
from ouija_es.store.ledger import LogRow
from ouija_es.store.mapper import UnreadableEvent, decoded
from ouija_es.store.rows import LogRows

_ATTEMPTS = (AttemptStarted, AttemptFailed, AttemptSkipped, AttemptSucceeded)
_TOPICS = {TOPIC_OF[event] for event in (PolicyAdopted, Asked, *_ATTEMPTS, *FINAL)}


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the log a decision differs: the row's position, its stream in hex, and how."""

    position: int
    stream: str
    difference: Difference


class Replay:
    """Follows every question of the rows it is given, in log order.

    Memory grows with the questions in flight, and a little with each start of a process. `differing` of the `questions`
    have a difference, the first of all is `first`; the `undecided` are those whose process's policy is not among the
    rows.
    """

    def __init__(self) -> None:
        self.questions = self.differing = self.undecided = self.withdrawn = self.abandoned = 0
        self.counts = Counts()
        self.first: Place | None = None
        self._policies: dict[UUID, PolicyAdopted] = {}
        self._courses: dict[str, Course | None] = {}
        """None: nothing more is to be said of the question, it only has to end."""

    @property
    def under_way(self) -> int:
        """Questions that have no last event yet."""
        return len(self._courses)

    def follow(self, rows: Iterable[LogRow]) -> None:
        """Goes on through these rows. Raises UnreadableEvent."""
        for row in rows:
            if row.topic in _TOPICS:
                self._follow(row, _event(row))

    def _follow(self, row: LogRow, event: Event) -> None:
        if isinstance(event, PolicyAdopted):
            self._policies[event.instance] = event
            return
        if row.stream not in self._courses:
            self._begin(row, event)
        elif (course := self._courses[row.stream]) is not None:
            self._note(row, course.follow(event))
        if isinstance(event, FINAL):
            del self._courses[row.stream]
            self.withdrawn += isinstance(event, Withdrawn)
            self.abandoned += isinstance(event, Abandoned)

    def _begin(self, row: LogRow, event: Event) -> None:
        self.questions += 1
        self._courses[row.stream] = None
        if not isinstance(event, Asked):
            self._note(row, Difference(row.topic, "nothing, as it was never asked or has ended"))
        elif (policy := self._policies.get(event.instance)) is None or not policy.tiers:
            self.undecided += 1
        elif event.deadline_ms != policy.deadline_ms:
            self._note(row, Difference(*(f"a deadline of {it.deadline_ms} ms" for it in (event, policy))))
        else:
            self._courses[row.stream] = Course(policy, self.counts)

    def _note(self, row: LogRow, difference: Difference | None) -> None:
        if difference is not None:
            self.differing += 1
            self.first = self.first or Place(row.position, row.stream, difference)
            self._courses[row.stream] = None


def replay_all(log: LogRows, progress: Callable[[int], None]) -> Replay:
    """Replays the whole log; `progress` gets the position reached. Raises UnreadableEvent, StoreUnreadable."""
    replay, position = Replay(), 0
    while rows := log.after(position):
        replay.follow(rows)
        position = rows[-1].position
        progress(position)
    return replay


def replay_session(log: LogRows, session_id: UUID) -> Replay:
    """Replays the questions of one session; none if it is not known. Raises as `replay_all`."""
    replay, rows = Replay(), log.session(session_id)
    asked = (event for row in rows if isinstance(event := _event(row), Asked))
    for instance in dict.fromkeys(event.instance for event in asked):
        replay.follow(log.stream(instance)[:1])
    replay.follow(rows)
    return replay


def _event(row: LogRow) -> Event:
    try:
        return decoded(row.topic, row.state)
    except UnreadableEvent as error:
        raise UnreadableEvent(f"the event at position {row.position} cannot be read") from error
