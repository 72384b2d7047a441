"""The sessions: when each was opened, when last asked in, how many questions, whether erased. Grows with the log."""

import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from ouija_es.domain.events import Asked, Erased

TABLE = """CREATE TABLE IF NOT EXISTS sessions (
    session_id TEXT PRIMARY KEY,
    opened_position INTEGER NOT NULL UNIQUE,
    opened_at TEXT NOT NULL,
    last_at TEXT NOT NULL,
    questions INTEGER NOT NULL,
    erased_at TEXT
) WITHOUT ROWID"""

_WRITE = """INSERT INTO sessions VALUES (?,?,?,?,?,?)
    ON CONFLICT (session_id) DO UPDATE SET
    questions=questions+excluded.questions, last_at=MAX(last_at, excluded.last_at),
    erased_at=COALESCE(excluded.erased_at, erased_at)"""
_PAGE = "SELECT * FROM sessions WHERE opened_position<? ORDER BY opened_position DESC LIMIT ?"

NEVER = datetime.min.replace(tzinfo=UTC)


class SessionRow(NamedTuple):
    """A session; times RFC 3339."""

    session_id: str
    opened_position: int
    opened_at: str
    last_at: str
    questions: int
    erased_at: str | None


class Change(msgspec.Struct):
    """What happened to a session since the views were last written."""

    session_id: UUID
    position: int
    opened_at: datetime
    last_at: datetime
    questions: int = 0
    erased_at: datetime | None = None


class SessionChanges:
    """Gathers changes between two writes."""

    def __init__(self) -> None:
        self._changes: dict[int, Change] = {}  # by the id's number: a UUID hashes slowly

    def asked(self, position: int, event: Asked) -> None:
        """Adds a question at a position."""
        session, at = event.session_id, event.at
        change = self._changes.get(session.int)
        if change is None:
            change = self._changes[session.int] = Change(session, position, at, at)
        elif at > change.last_at:
            change.last_at = at
        change.questions += 1

    def erased(self, position: int, event: Erased) -> None:
        """Adds an erasure at a position."""
        session, at = event.session_id, event.at
        change = self._changes.get(session.int)
        if change is None:
            change = self._changes[session.int] = Change(session, position, at, NEVER)
        change.erased_at = at

    def take(self) -> list[Change]:
        """What is to be written; what follows is gathered anew."""
        changes, self._changes = self._changes, {}
        return list(changes.values())


def row_of(change: Change) -> SessionRow:
    """The row to write."""
    return SessionRow(
        str(change.session_id),
        change.position,
        _rfc3339(change.opened_at),
        _rfc3339(change.last_at),
        change.questions,
        None if change.erased_at is None else _rfc3339(change.erased_at),
    )


def write(connection: sqlite3.Connection, changes: Iterable[Change]) -> None:
    """Adds changes to the table, in the caller's transaction."""
    connection.executemany(_WRITE, map(row_of, changes))


def page(connection: sqlite3.Connection, before_position: int, limit: int) -> list[SessionRow]:
    """Sessions that were opened before a position, newest first."""
    return [SessionRow(*row) for row in connection.execute(_PAGE, [before_position, limit])]


def _rfc3339(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
