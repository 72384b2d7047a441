"""The rows of a database file or a backup, without writing a byte to it."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from ouija_es.errors import StartError, StoreUnreadable
from ouija_es.store.ledger import LogRow
from ouija_es.store.rows import LogRows
from ouija_es.verification.findings import Head, Kind, Wrong

_HIGHEST = "SELECT seq FROM sqlite_sequence WHERE name='stored_events'"


class Database:
    """The log of a file; `total` is how many events it seems to hold, `highest` the last position it remembers."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._rows = LogRows(connection)
        # Before the rows are read: a log in use goes on meanwhile.
        self.highest = int((connection.execute(_HIGHEST).fetchone() or [0])[0])
        self.total = self._rows.head()

    def head(self) -> Head | None:
        """The last row's position and link, as it claims them; None of an empty log."""
        last = self._rows.at(self.total)
        return None if last is None else Head(last.position, last.link.hex())

    def batches(self) -> Iterator[Sequence[LogRow]]:
        """The rows in order. Raises Wrong at the end, if there were more once; StoreUnreadable."""
        position = -(2**63)
        while batch := self._after(position):
            yield batch
            position = batch[-1].position
        end = max(position, 0)
        if self.highest > end:
            raise Wrong(Kind.TRUNCATED, end + 1, f"the log ends at {end}, the file remembers position {self.highest}")

    def _after(self, position: int) -> Sequence[LogRow]:
        try:
            return self._rows.after(position)
        except StoreUnreadable:
            # Bytes that are no text are for the check to find.
            self._connection.text_factory = lambda raw: raw.decode(errors="backslashreplace")
            return self._rows.after(position)


@contextmanager
def opened(path: Path) -> Iterator[Database]:
    """Opens a file that may be in use, or lie on a medium that cannot be written to. Raises StartError.

    Without a write-ahead log beside it the file is all there is, and SQLite need make no file of its own to read it.
    """
    beside = path.with_name(path.name + "-wal")
    alone = not beside.exists()
    uri = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if alone else ''}"
    try:
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
            yield Database(connection)
    except (sqlite3.Error, StoreUnreadable, Wrong) as error:
        _check_left_alone(path, beside if alone else None)
        if isinstance(error, Wrong):
            raise
        raise StartError(f"not a database of this service, or damaged: {error.__cause__ or error}: {path}") from error
    _check_left_alone(path, beside if alone else None)


def _check_left_alone(path: Path, absent: Path | None) -> None:
    if absent is not None and absent.exists():
        raise StartError(f"the database was opened for writing meanwhile, check it again: {path}")
