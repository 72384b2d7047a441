"""The views' file beside the database: a fold of the log, kept so that a start need not begin at zero.

Everything is written together with the position it belongs to, in one transaction. A lost tail is folded again, so
`synchronous=NORMAL` is enough; the file can be deleted at any time. Blocking.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from ouija_es.projections import sessions
from ouija_es.projections.sessions import Change, SessionRow
from ouija_es.projections.state import VERSION, State, decode, encode

_TABLES = [
    """CREATE TABLE IF NOT EXISTS state (
        one INTEGER PRIMARY KEY CHECK (one=1), version INTEGER NOT NULL, state BLOB NOT NULL
    )""",
    """CREATE TABLE IF NOT EXISTS checkpoints (
        position INTEGER PRIMARY KEY, latest REAL NOT NULL, state BLOB NOT NULL
    ) WITHOUT ROWID""",
    sessions.TABLE,
]


class Checkpoint(NamedTuple):
    """The state at a position; `latest` is its time as seconds since 1970."""

    position: int
    latest: float
    state: bytes


class Views:
    """One connection, used by one thread at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=2)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute("PRAGMA secure_delete=ON")
        for table in _TABLES:
            self._connection.execute(table)

    def close(self) -> None:
        """Closes the file; what was written is in it, none of it in a log beside it."""
        try:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            self._connection.close()

    def read(self) -> State | None:
        """The state as last written; None of a new file or one that was folded by other rules."""
        row = self._connection.execute("SELECT version, state FROM state").fetchone()
        return decode(row[1]) if row is not None and row[0] == VERSION else None

    def write(self, state: bytes, checkpoints: Sequence[Checkpoint], changed_sessions: list[Change]) -> None:
        """All or nothing."""
        with self._transaction():
            self._connection.execute("INSERT OR REPLACE INTO state VALUES (1,?,?)", [VERSION, state])
            self._connection.executemany("INSERT OR REPLACE INTO checkpoints VALUES (?,?,?)", checkpoints)
            sessions.write(self._connection, changed_sessions)

    def clear(self) -> None:
        """Forgets everything: the log is another one."""
        with self._transaction():
            for table in ("state", "checkpoints", "sessions"):
                self._connection.execute(f"DELETE FROM {table}")

    def checkpoint_before(self, *, position: int | None = None, at: datetime | None = None) -> State:
        """The newest checkpoint not behind a position, or a time; the empty state if there is none."""
        where, value = ("position<=?", position) if at is None else ("latest<=?", at.timestamp())
        row = self._connection.execute(
            f"SELECT state FROM checkpoints WHERE {where} ORDER BY position DESC LIMIT 1", [value]
        ).fetchone()
        return decode(row[0]) if row is not None else State()

    def _transaction(self) -> "_Transaction":
        return _Transaction(self._connection)


class _Transaction:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._connection.execute("COMMIT" if kind is None else "ROLLBACK")


def read_sessions(database: Path, before_position: int, limit: int) -> list[SessionRow]:
    """As `sessions.page`, from the views of a database, which must be there; beside whoever writes them."""
    where = f"{views_path(database).absolute().as_uri()}?mode=rw"
    with closing(sqlite3.connect(where, uri=True, isolation_level=None, timeout=2)) as connection:
        connection.execute("PRAGMA query_only=ON")
        return sessions.page(connection, before_position, limit)


def views_path(database: Path) -> Path:
    """Where the views of a database lie."""
    return database.with_name(database.name + ".views")


def rebuilt_path(database: Path) -> Path:
    """Where new views wait to be taken over: renaming them over open ones would leave a wrong log beside them."""
    return database.with_name(database.name + ".views.rebuilt")


def remove(path: Path) -> None:
    """Removes a file of views and what SQLite keeps beside it."""
    for file in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
        file.unlink(missing_ok=True)


def open_views(database: Path) -> Views:
    """The views of a database, the rebuilt ones if there are; nobody else may have them open."""
    path, rebuilt = views_path(database), rebuilt_path(database)
    if rebuilt.exists():
        remove(path)
        rebuilt.rename(path)
    try:
        return Views(path)
    except sqlite3.DatabaseError:
        remove(path)  # a damaged file is not worth more than a missing one
        return Views(path)


def checkpoint_of(state: State) -> Checkpoint:
    """The state as it is now."""
    return Checkpoint(state.position, state.latest.timestamp() if state.latest else 0.0, encode(state))
