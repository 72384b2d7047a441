"""Writes batches of rows into the database file. Blocking: it lives on the recorder's thread."""

import contextlib
import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from eventsourcing.persistence import IntegrityError, PersistenceError, StoredEvent

from ouija_es.errors import StoreErrorReason
from ouija_es.store.ledger import LogRow
from ouija_es.store.sqlite import EventRecorder, open_recorder
from ouija_es.store.wal import bytes_left_of_older, generation

RETRY_SECONDS = (0.05, 0.2)
"""Pauses before a failed batch is tried again on a fresh connection."""
TRUNCATE_SECONDS = 0.05
"""How long emptying the write-ahead log waits for readers."""
OVERWRITE_LIMIT_BYTES = 16 << 20
"""Four times what SQLite lets the write-ahead log grow to before it copies it."""


class FileGone(PersistenceError):
    """The database's path does not lead to the open file any more: what is written there nobody will find again."""


class Append(NamedTuple):
    """One caller's rows, recorded all or none, with the key of the session they open or erase."""

    rows: Sequence[StoredEvent]
    session_key: tuple[UUID, bytes] | None
    destroyed_key: UUID | None = None


Verdict = StoreErrorReason | None
"""None: recorded."""


class Writer:
    """The one connection that writes. Raises the library's errors if the file cannot be opened.

    A database file that is removed or replaced is never made anew: writing goes on once the very file is back.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wal_path = path.with_name(path.name + "-wal")
        self._recorder: EventRecorder | None = open_recorder(path)
        self._file = identity(path)
        self._wal_file: FileIdentity | None = None
        self._committed: list[LogRow] = []
        self._destroyed_in = generation(self._wal_path)

    def insert(self, batch: Sequence[Append]) -> list[Verdict]:
        """Writes a batch in one transaction. A conflict is bisected, so that it fails alone."""
        try:
            self._insert_once(batch)
        except IntegrityError:
            if len(batch) == 1:
                return [self._insert_alone(batch[0])]
            middle = len(batch) // 2
            return self.insert(batch[:middle]) + self.insert(batch[middle:])
        except (PersistenceError, sqlite3.Error) as error:
            return self._insert_again(batch, error)
        return [None] * len(batch)

    def _insert_again(self, batch: Sequence[Append], error: Exception) -> list[Verdict]:
        """After an error: a fresh connection, a look at what is there after all, a try with what is absent."""
        verdicts: list[Verdict] = [reason_of(error)] * len(batch)
        for pause in RETRY_SECONDS:
            time.sleep(pause)
            try:
                self._reopen()
                verdicts = [
                    None if self._is_there(append) else verdict for append, verdict in zip(batch, verdicts, strict=True)
                ]
                absent = [append for append, verdict in zip(batch, verdicts, strict=True) if verdict is not None]
                if absent:
                    self._insert_once(absent)
                return [None] * len(batch)
            except IntegrityError:
                # A neighbour in the batch took a version: settle each on its own.
                return [self._insert_alone(append) for append in batch]
            except (PersistenceError, sqlite3.Error) as next_error:
                verdicts = [verdict and reason_of(next_error) for verdict in verdicts]
        return verdicts

    def _insert_alone(self, append: Append) -> Verdict:
        try:
            if not self._is_there(append):
                self._insert_once([append])
        except IntegrityError:
            return "conflict"
        except (PersistenceError, sqlite3.Error) as error:
            return reason_of(error)
        return None

    def _insert_once(self, batch: Sequence[Append]) -> None:
        if self._recorder is None:
            raise PersistenceError("the database is closed")
        rows = [row for append in batch for row in append.rows]
        self._recorder.insert_events(
            rows,
            session_keys=[append.session_key for append in batch if append.session_key is not None],
            destroyed_keys=[append.destroyed_key for append in batch if append.destroyed_key is not None],
        )
        if any(append.destroyed_key is not None for append in batch):
            self._destroyed_in = generation(self._wal_path)
        self._check_in_place()
        self._committed += self._recorder.inserted

    def take_committed(self) -> list[LogRow]:
        """The rows written since the last call, in order; without those found written late, after an error."""
        committed, self._committed = self._committed, []
        return committed

    def _is_there(self, append: Append) -> bool:
        """Whether these very rows are in the log: a failed commit may have become durable after all."""
        recorder = self._recorder
        if recorder is None or not append.rows:
            return False
        return all(
            list(recorder.select_events(row.originator_id, gt=row.originator_version - 1, limit=1)) == [row]
            for row in append.rows
        )

    def _check_in_place(self) -> None:
        """After a commit, so that what is reported as recorded was in the file under its name. Raises FileGone."""
        self._wal_file = self._wal_file or identity(self._wal_path)
        if not self._in_place():
            raise FileGone(f"removed or replaced: {self._path}")

    def _in_place(self) -> bool:
        """Whether the open files lie where they were: a write-ahead log stays one file while it is open.

        SQLite itself looks only where it keeps no such log (https://www.sqlite.org/howtocorrupt.html#unlink).
        """
        return identity(self._path) == self._file and self._wal_file in (None, identity(self._wal_path))

    def _reopen(self) -> None:
        if not self._in_place():
            raise FileGone(f"removed or replaced: {self._path}")
        self.close()
        self._recorder = open_recorder(self._path, create=False)
        self._destroyed_in = generation(self._wal_path)  # what was committed before an error may be in there

    def close(self) -> None:
        """Closes the file."""
        if self._recorder is not None:
            in_place = self._in_place()
            self._recorder.datastore.close()
            self._recorder = None
            if in_place:
                self._wal_file = None  # the last connection takes its log away

    def truncate(self) -> bool:
        """Copies the write-ahead log into the file and empties it; False while somebody reads an older state of it.

        What was overwritten in the file is still in the log until then. Never waits long: asks wait meanwhile.
        """
        if self._recorder is None or not self._in_place():
            return False
        where = f"{self._path.absolute().as_uri()}?mode=rw"
        try:
            with contextlib.closing(sqlite3.connect(where, uri=True, timeout=TRUNCATE_SECONDS)) as connection:
                busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            return not busy or self._overwrite()
        except (PersistenceError, sqlite3.Error, OSError):
            return False

    def _overwrite(self) -> bool:
        """Under somebody who reads all the time and has the log begun anew himself (Litestream, each minute).

        Whether that was done since the last key was destroyed; what then lies behind the log's end is overwritten.
        """
        if self._recorder is None or generation(self._wal_path) == self._destroyed_in:
            return False
        left = bytes_left_of_older(self._wal_path)
        if left > OVERWRITE_LIMIT_BYTES:
            return False
        if left:
            with self._recorder.datastore.transaction(commit=True) as cursor:
                cursor.execute("INSERT OR REPLACE INTO metadata VALUES ('write-probe', zeroblob(?))", [left])
                cursor.execute("DELETE FROM metadata WHERE name='write-probe'")
        return generation(self._wal_path) != self._destroyed_in and not bytes_left_of_older(self._wal_path)

    def probe(self) -> bool:
        """Whether the file takes a write again."""
        try:
            self._reopen()  # a connection from when the file could only be read would stay read-only
            if self._recorder is None:
                return False
            with self._recorder.datastore.transaction(commit=True) as cursor:
                # As much as a batch of some asks would take, so that a nearly full disk does not count as well.
                cursor.execute("INSERT OR REPLACE INTO metadata VALUES ('write-probe', hex(randomblob(16384)))")
                cursor.execute("DELETE FROM metadata WHERE name='write-probe'")
            self._check_in_place()
        except (PersistenceError, sqlite3.Error):
            with contextlib.suppress(PersistenceError, sqlite3.Error):
                self.close()
            return False
        return True


FileIdentity = tuple[int, int]


def identity(path: Path) -> FileIdentity | None:
    """Device and inode; None if there is no such file."""
    try:
        status = os.stat(path)  # noqa: PTH116 - on the way of every commit, at a third of the cost
    except OSError:
        return None
    return status.st_dev, status.st_ino


def reason_of(error: BaseException) -> StoreErrorReason:
    """The closed set's word for a database error (https://www.sqlite.org/rescode.html)."""
    if isinstance(error, FileGone):
        return "io"
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, sqlite3.Error):
        cause = cause.args[0] if cause.args and isinstance(cause.args[0], BaseException) else cause.__cause__
    code = getattr(cause, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    match code:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return "busy"
        case sqlite3.SQLITE_FULL:
            return "full"
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CORRUPT:
            return "io"
        case _:
            return "other"
