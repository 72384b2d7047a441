"""A database file with its writer, and what erases in it; sessions are as old as a test wants them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import msgspec

from ouija_es.clock import Clock
from ouija_es.domain.events import Erased
from ouija_es.domain.vocabulary import ErasedBy
from ouija_es.erasure import Erasure
from ouija_es.ids import first_of, uuid7
from ouija_es.retention import Retention
from ouija_es.store.log import EventLog
from ouija_es.store.mapper import to_row
from ouija_es.store.recorder import GroupCommit
from ouija_es.store.sessions import Sessions
from ouija_es.store.vault import Vault
from tests.store.rows import answered, asked

DAYS = 30
NOW = datetime.now(UTC)


def days_ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


class House:
    """Open until `close`."""

    def __init__(self, folder: Path, vault: Vault, *, days: int = DAYS) -> None:
        path = folder / "ouija.db"
        self.vault = vault
        self.recorder = GroupCommit(path)
        self.recorder.start()
        self.log = EventLog(path, vault)
        self.sessions = Sessions(self.log, vault)
        self.instance = uuid7()
        self.erasure = Erasure(self.log, self.recorder, self.sessions, Clock(), self.instance)
        self.retention = Retention(self.log, self.sessions, self.erasure, Clock(), days=days)

    async def session(self, *asked_at: datetime) -> UUID:
        """A session with a question at each of these times, as the service itself would have written it."""
        opened = asked_at[0]
        milliseconds = round(opened.timestamp() * 1000) + 1
        session_id = UUID(int=first_of(milliseconds).int | (uuid7().int & (1 << 80) - 1))
        key, wrapped = self.vault.new_key(session_id)
        for at in asked_at:
            stream = uuid7()
            events = [asked(session_id, "¿Encontraré el amor?", opens_session=at is opened), answered("Tal vez.")]
            rows = [
                to_row(stream, version, msgspec.structs.replace(event, at=at), key)
                for version, event in enumerate(events, 1)
            ]
            session_key = (session_id, wrapped) if at is opened else None
            await self.recorder.append(rows, seconds=10, session_key=session_key)
        return session_id

    def erased(self, session_id: UUID) -> bool:
        """Whether the key is gone. Asserts that the log says so, too, and by whom."""
        events = [it.event for it in self.log.stream(session_id)]
        gone = not self.log.has_key(session_id)
        assert gone == bool(events)
        for event in events:
            assert isinstance(event, Erased)
            assert event.by is ErasedBy.RETENTION
            assert event.instance == self.instance
        return gone

    async def close(self) -> None:
        await self.recorder.close()
        self.log.close()
