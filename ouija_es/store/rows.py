"""The log's rows as they are stored, in order: the fast way through the whole of it. Blocking."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from ouija_es.errors import StoreUnreadable
from ouija_es.store.ledger import GENESIS, LogRow

BATCH = 5_000

_AFTER = (
    "SELECT position, originator_id, originator_version, topic, state, link FROM stored_events "
    "WHERE position>? ORDER BY position LIMIT ?"
)
_LINKS = "SELECT link FROM stored_events WHERE position<=? ORDER BY position DESC LIMIT ?"
_PAGE_END = (
    "SELECT COALESCE(MAX(position), ?) FROM (SELECT position FROM stored_events WHERE position>? "
    "ORDER BY position LIMIT ?)"
)
_STREAM = (
    "SELECT position, originator_id, originator_version, topic, state, link FROM stored_events "
    "WHERE originator_id=? ORDER BY originator_version"
)
_SESSION = (
    "SELECT position, originator_id, originator_version, topic, state, link FROM stored_events "
    "WHERE originator_id IN (SELECT originator_id FROM stored_events WHERE topic='ouija.Asked.v1' "
    "AND json_extract(CAST(state AS TEXT), '$.sessionId')=?) ORDER BY position"
)
_HEAD = "SELECT COALESCE(MAX(position), 0) FROM stored_events"


class LogRows:
    """One connection that only reads. Raises StoreUnreadable."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def after(self, position: int, limit: int | None = None) -> list[LogRow]:
        """The next rows behind a position, at most `limit` or a batch; empty at the end of the log."""
        with _readable():
            return list(map(LogRow._make, self._connection.execute(_AFTER, [position, limit or BATCH])))

    def at(self, position: int) -> LogRow | None:
        """The row at a position."""
        return next((row for row in self.after(position - 1, 1) if row.position == position), None)

    def links_before(self, position: int, limit: int) -> list[bytes]:
        """The links as the rows claim them up to a position, the newest last; zeros for what can be none."""
        with _readable():
            links = [row[0] for row in self._connection.execute(_LINKS, [position, limit])][::-1]
        return [it if isinstance(it, bytes) and len(it) == len(GENESIS) else bytes(len(GENESIS)) for it in links]

    def page_end(self, position: int, limit: int) -> int:
        """The position of the last of at most `limit` rows behind a position; that one if there are none."""
        with _readable():
            return int(self._connection.execute(_PAGE_END, [position, position, limit]).fetchone()[0])

    def stream(self, stream: UUID) -> list[LogRow]:
        """A stream's rows; empty if there is none."""
        with _readable():
            return list(map(LogRow._make, self._connection.execute(_STREAM, [stream.hex])))

    def session(self, session_id: UUID) -> list[LogRow]:
        """The rows of a session's questions, in log order; empty if it is not known."""
        with _readable():
            return list(map(LogRow._make, self._connection.execute(_SESSION, [str(session_id)])))

    def head(self) -> int:
        """The last row's position; 0 of an empty log."""
        with _readable():
            return int(self._connection.execute(_HEAD).fetchone()[0])


@contextmanager
def log_rows(path: Path) -> Iterator[LogRows]:
    """Reads the log of a database file, which must be there. Raises StoreUnreadable."""
    with _readable():
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
    try:
        with _readable():
            connection.execute("PRAGMA query_only=ON")
        yield LogRows(connection)
    finally:
        connection.close()


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise StoreUnreadable("The record of earlier events cannot be read.", retry_after_seconds=5) from error
