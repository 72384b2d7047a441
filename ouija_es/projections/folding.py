"""Rows into the views: the one fold that live projection, catch-up, rebuild and `as_of` share."""

import struct
from collections.abc import Iterable
from datetime import datetime

from ouija_es.domain.events import Asked, Erased
from ouija_es.errors import OuijaError
from ouija_es.projections.sessions import Change, SessionChanges
from ouija_es.projections.state import State, decode, encode
from ouija_es.projections.views import Checkpoint, Views, checkpoint_of
from ouija_es.projections.witness import Witness
from ouija_es.store.ledger import LogRow
from ouija_es.store.mapper import UnreadableEvent, decoded

CHECKPOINT_EVENTS = 10_000

Changes = tuple[bytes, list[Checkpoint], list[Change]]


class PoisonEvent(OuijaError):
    """A row that cannot be folded: to skip it would falsify every number from there on."""

    def __init__(self, position: int) -> None:
        super().__init__(f"the event at position {position} cannot be read")
        self.position = position


class Folding:
    """A state, and what has changed since it was last written to the views; `witness` looks at every row."""

    def __init__(self, state: State, witness: Witness | None = None) -> None:
        self.state = state
        self._witness = witness or Witness()
        self._sessions = SessionChanges()
        self._unwritten: list[Change] = []
        self._checkpoints: list[Checkpoint] = []

    def fold(self, rows: Iterable[LogRow], *, until: datetime | None = None, linked: bool = False) -> bool:
        """Adds rows that follow, before the first that happened after `until`; whether that were all.

        `linked`: this process has just computed their links, each from the one before. Then only the first is checked:
        whether it went on from the row folded last. Raises PoisonEvent, Gap; what came before stays folded.
        """
        state, witness, known = self.state, self._witness, False
        for row in rows:
            try:
                event = decoded(row.topic, row.state)
            except UnreadableEvent as error:
                raise PoisonEvent(row.position) from error
            if until is not None and event.at > until:
                return False
            try:
                state.fold(row, event, linked=known)
            except (ValueError, TypeError, struct.error) as error:  # what no chain can hold: a stream that is no UUID
                raise PoisonEvent(row.position) from error
            known = linked
            witness.look(state, row, event)
            if type(event) is Asked:
                self._sessions.asked(row.position, event)
            elif type(event) is Erased:
                self._sessions.erased(row.position, event)
            if state.ordinal % CHECKPOINT_EVENTS == 0:
                self._checkpoints.append(checkpoint_of(state))
        return True

    def copy(self) -> "Folding":
        """One to go on with elsewhere; what is still to be written goes with it."""
        twin = Folding(decode(encode(self.state)), self._witness)
        twin.put_back(self.take())
        return twin

    def put_back(self, changes: Changes) -> None:
        """What could not be written is written with the next."""
        _, checkpoints, sessions = changes
        self._checkpoints = [*checkpoints, *self._checkpoints]
        self._unwritten = [*sessions, *self._unwritten]

    def take(self) -> Changes:
        """What `Views.write` wants; what follows is gathered anew."""
        checkpoints, self._checkpoints = self._checkpoints, []
        unwritten, self._unwritten = self._unwritten, []
        return encode(self.state), checkpoints, [*unwritten, *self._sessions.take()]

    def write(self, views: Views) -> None:
        """Writes it at once; for a fold in a thread of its own."""
        views.write(*self.take())
