"""The eventsourcing library's SQLite recorder, made durable and given the tables this service owns.

Layers (one transaction reaches from top to bottom):
    recorder.GroupCommit      one writer thread, one fsync for everybody waiting
    EventRecorder             rows of events, and the session keys that came with them
    eventsourcing.sqlite      connections and transactions
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import UUID

from eventsourcing.persistence import InterfaceError, StoredEvent
from eventsourcing.sqlite import (
    SQLiteApplicationRecorder,
    SQLiteConnection,
    SQLiteConnectionPool,
    SQLiteCursor,
    SQLiteDatastore,
    SQLiteFactory,
    SQLiteTransaction,
)
from eventsourcing.utils import Environment, EnvType

from ouija_es.errors import FolderInUse, StartError
from ouija_es.store.ledger import GENESIS, LogRow, link

BUSY_TIMEOUT_SECONDS = 2
ROWS_A_STATEMENT = (128, 32, 8, 2, 1)

# The position is an explicit AUTOINCREMENT key: an implicit rowid may be renumbered by VACUUM, a plain one used again.
# The partial indexes find what has to be found at once in the log itself: no second table is kept in step with it.
# CAST, because the state is a BLOB and newer SQLite takes a BLOB for its own binary JSON.
TABLES = [
    """CREATE TABLE IF NOT EXISTS stored_events (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        originator_id TEXT NOT NULL,
        originator_version INTEGER NOT NULL,
        topic TEXT NOT NULL,
        state BLOB NOT NULL,
        link BLOB NOT NULL,
        UNIQUE (originator_id, originator_version)
    )""",
    """CREATE INDEX IF NOT EXISTS asked_by_session
        ON stored_events (json_extract(CAST(state AS TEXT), '$.sessionId')) WHERE topic = 'ouija.Asked.v1'""",
    """CREATE INDEX IF NOT EXISTS policies
        ON stored_events (position) WHERE topic = 'ouija.PolicyAdopted.v1'""",
    """CREATE INDEX IF NOT EXISTS asked_by_idempotency_key
        ON stored_events (json_extract(CAST(state AS TEXT), '$.idempotencyKeyHash'))
        WHERE topic = 'ouija.Asked.v1' AND json_extract(CAST(state AS TEXT), '$.idempotencyKeyHash') IS NOT NULL""",
    """CREATE INDEX IF NOT EXISTS breaker_changes
        ON stored_events (position)
        WHERE topic IN ('ouija.BreakerOpened.v1', 'ouija.BreakerHalfOpened.v1', 'ouija.BreakerClosed.v1')""",
    """CREATE TABLE IF NOT EXISTS session_keys (
        session_id TEXT PRIMARY KEY,
        wrapped BLOB NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS canned_answers (
        id TEXT PRIMARY KEY,
        personality TEXT NOT NULL,
        language TEXT NOT NULL,
        category TEXT NOT NULL,
        text TEXT NOT NULL UNIQUE,
        keywords TEXT NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS metadata (
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) WITHOUT ROWID""",
]


class _ConnectionPool(SQLiteConnectionPool):
    def _create_connection(self) -> SQLiteConnection:
        # As the library's own, which keeps one statement prepared: every other one was compiled anew each time.
        try:
            connection = sqlite3.connect(
                self.db_name,
                uri=True,
                check_same_thread=False,
                isolation_level=None,
                timeout=self.lock_timeout or BUSY_TIMEOUT_SECONDS,
            )
        except sqlite3.Error as error:
            raise InterfaceError(error) from error
        connection.row_factory = sqlite3.Row
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            connection.execute("PRAGMA journal_mode=WAL")
        # FULL: a commit is in the file before it is reported; WAL alone would sync only at checkpoints under NORMAL.
        # secure_delete: what is deleted (a session's key) is overwritten, not merely unlinked.
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA secure_delete=ON")
        return SQLiteConnection(connection, max_age=self.max_age)


class _Transaction(SQLiteTransaction):
    """The library's, with its errors, but begun by who is in it: the error of a lock that is not got is one of them."""

    def __enter__(self) -> SQLiteCursor:
        return self.connection.cursor()


class EventRecorder(SQLiteApplicationRecorder):
    """Appends events of many streams, and the wrapped keys of new sessions, in one transaction.

    It keeps the connection it appends on, so only one thread may append. Closing the datastore closes it.
    """

    def __init__(self, datastore: SQLiteDatastore, events_table_name: str = "stored_events") -> None:
        super().__init__(datastore, events_table_name)
        self.inserted: list[LogRow] = []
        """The rows inserted last, in their order; they are in the log if their transaction was committed."""
        self._connection: SQLiteConnection | None = None
        self._insert_into = (
            f"INSERT INTO {events_table_name} (originator_id, originator_version, topic, state, link) VALUES "
        )
        self._select_last = f"SELECT position, link FROM {events_table_name} ORDER BY position DESC LIMIT 1"
        self.select_events_statement = (
            f"SELECT originator_id, originator_version, topic, state FROM {events_table_name} WHERE originator_id=? "
        )

    def construct_create_table_statements(self) -> list[str]:
        """All tables of the database."""
        return TABLES

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int]:
        """The positions of the rows, in their order. Raises the library's errors; then nothing is inserted."""
        if self._connection is None:
            self._connection = self.datastore.pool.get_connection()
        with _Transaction(self._connection, commit=True) as cursor, cursor:
            # With the file's lock at once: read before it is held, the last row might not be the last.
            cursor.execute("BEGIN IMMEDIATE")
            return self._insert_events(cursor, stored_events, **kwargs)

    def _insert_events(
        self,
        c: SQLiteCursor,
        stored_events: Sequence[StoredEvent],
        *,
        session_keys: Iterable[tuple[UUID, bytes]] = (),
        destroyed_keys: Sequence[UUID] = (),
        **_: Any,
    ) -> Sequence[int]:
        """The positions of the rows, in their order. Each row's link continues the chain from the last row there is."""
        _insert(c, "INSERT INTO session_keys VALUES ", [(key[0].hex, key[1]) for key in session_keys])
        for session_id in destroyed_keys:
            c.execute("DELETE FROM session_keys WHERE session_id=?", [session_id.hex])
        c.execute(self._select_last)
        ordinal, previous = c.fetchone() or (0, GENESIS)
        rows, stream_id, stream = [], None, ""
        for number, it in enumerate(stored_events, ordinal + 1):
            if it.originator_id is not stream_id:  # a question's rows follow each other
                stream_id, stream = it.originator_id, _hex(it.originator_id)
            version, topic, state = it.originator_version, it.topic, it.state
            previous = link(previous, number, stream, version, topic, state)
            rows.append((stream, version, topic, state, previous))
        last = _insert(c, self._insert_into, rows)
        positions = range(last - len(rows) + 1, last + 1)
        self.inserted = [LogRow(position, *row) for position, row in zip(positions, rows, strict=True)]
        return list(positions)


def _insert(c: SQLiteCursor, into: str, rows: Sequence[tuple[Any, ...]]) -> int:
    """Many rows a statement; the rowid of the last.

    Each statement lets go of the interpreter's lock, and has to wait for it again behind a busy event loop: that wait,
    not the insert, is what a row at a time costs. Few sizes, so that SQLite finds each statement prepared.
    """
    done = 0
    for size in ROWS_A_STATEMENT:
        while len(rows) - done >= size:
            some = rows[done : done + size]
            c.execute(_statement(into, len(some[0]), size), list(chain.from_iterable(some)))
            done += size
    return int(c.lastrowid or 0)


@lru_cache
def _statement(into: str, columns: int, rows: int) -> str:
    return into + ",".join([f"({','.join('?' * columns)})"] * rows)


def _hex(originator_id: UUID | str) -> str:
    return originator_id.hex if isinstance(originator_id, UUID) else originator_id


class Factory(SQLiteFactory):
    """Builds the durable recorder for `SQLITE_DBNAME`."""

    application_recorder_class = EventRecorder

    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(env)
        pool = self.datastore.pool
        self.datastore.pool = _ConnectionPool(db_name=pool.db_name, lock_timeout=BUSY_TIMEOUT_SECONDS)
        pool.close()


def open_recorder(path: Path, *, create: bool = True) -> EventRecorder:
    """The recorder on a database file; `create` makes the file and its tables. Raises the library's errors."""
    mode = "rwc" if create else "rw"
    factory = Factory(
        {"SQLITE_DBNAME": f"{path.absolute().as_uri()}?mode={mode}", "CREATE_TABLE": "y" if create else "n"}
    )
    recorder = factory.application_recorder()
    if not isinstance(recorder, EventRecorder):
        raise TypeError(type(recorder))
    return recorder


class DataFolderLock:
    """Held by whoever writes: one process at a time may append to a database file.

    An flock on a file of its own: the kernel lets go of it however the process ends, and SQLite's own locks stay alone.
    """

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + ".lock")
        self._fd: int | None = None

    def acquire(self) -> None:
        """Takes the lock, making the folder if need be.

        Raises FolderInUse if another process has it, StartError if the folder cannot be used.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StartError(f"the data folder cannot be used: {error.strerror}: {self._path.parent}") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            raise FolderInUse(f"another process is writing to this data folder: {self._path.parent}") from error
        self._fd = fd

    def release(self) -> None:
        """Gives the lock back."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
