"""One question's stream on its way into the log."""

from collections.abc import Callable

from eventsourcing.persistence import StoredEvent

from ouija_es.clock import Clock
from ouija_es.domain.events import Event
from ouija_es.ids import uuid7
from ouija_es.store.mapper import to_row
from ouija_es.store.recorder import GroupCommit
from ouija_es.store.sessions import Session


class Journal:
    """Events gather, `commit` makes them durable. `seconds_left()` is how long it may wait for that."""

    def __init__(
        self, recorder: GroupCommit, session: Session, seconds_left: Callable[[], float], clock: Clock
    ) -> None:
        self.stream = uuid7()
        self.record_ms = 0.0
        """How long the question has waited for the event store."""
        self._recorder = recorder
        self._session = session
        self._seconds_left = seconds_left
        self._clock = clock
        self._version = 0
        self._rows: list[StoredEvent] = []

    def note(self, event: Event) -> None:
        """Adds an event; it is not durable yet."""
        self._version += 1
        self._rows.append(to_row(self.stream, self._version, event, self._session.key))

    async def commit(self) -> None:
        """Returns once all noted events are in the file. Raises StoreUnavailable, at the deadline at the latest."""
        rows, self._rows = self._rows, []
        wrapped = self._session.wrapped_key
        started_at = self._clock.monotonic()
        await self._recorder.append(
            rows,
            seconds=self._seconds_left(),
            session_key=None if wrapped is None else (self._session.id, wrapped),
        )
        self._session.wrapped_key = None
        self.record_ms += (self._clock.monotonic() - started_at) * 1000
