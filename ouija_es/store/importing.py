"""Makes a database of an exported log: a new file, which takes its place once all of it was found right. Blocking."""

import gzip
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from io import BufferedIOBase, BufferedReader
from pathlib import Path

from ouija_es.errors import OuijaError, StartError
from ouija_es.store.cloudevents import NotALine, from_line
from ouija_es.store.exporting import GZIP_MAGIC, UNREADABLE_GZIP, Head
from ouija_es.store.keys import VAULT_FINGERPRINT
from ouija_es.store.ledger import GENESIS, LogRow, link_of
from ouija_es.store.mapper import UnreadableEvent, decoded
from ouija_es.store.sqlite import TABLES
from ouija_es.store.vault_file import WrappedKeys

LINE_LIMIT_BYTES = 1_048_576
"""Far more than any event takes."""

_INSERT = "INSERT INTO stored_events VALUES (?,?,?,?,?,?)"
# A key of a session that has been erased since, or that opened after the export, is left where it is.
_INSERT_KEY = """INSERT INTO session_keys SELECT :session, :wrapped
    WHERE EXISTS (SELECT 1 FROM stored_events WHERE topic = 'ouija.Asked.v1'
        AND json_extract(CAST(state AS TEXT), '$.sessionId') = :uuid)
    AND NOT EXISTS (SELECT 1 FROM stored_events WHERE originator_id = :session AND topic = 'ouija.Erased.v1')"""


class DamagedExport(OuijaError):
    """A line of an export is not as it was written; the message names it."""


class ExportedRows:
    """The rows of an export, each checked against all before it. Raises DamagedExport.

    `head` is that of the row given last.
    """

    def __init__(self, file: BufferedIOBase) -> None:
        self._file = file
        self._line = 0
        self.head = Head(0, GENESIS)

    def __iter__(self) -> Iterator[LogRow]:
        while line := self._next():
            try:
                row = from_line(line)
            except NotALine as error:
                raise self.damaged(str(error)) from error
            self._check(row)
            self.head = Head(row.position, row.link)
            yield row

    def damaged(self, what: str) -> DamagedExport:
        """The error for the line read last."""
        return DamagedExport(f"line {self._line}: {what}")

    def _next(self) -> bytes:
        self._line += 1
        try:
            line = self._file.readline(LINE_LIMIT_BYTES)
        except UNREADABLE_GZIP as error:
            raise self.damaged(f"the packed file is cut off or damaged: {error}") from error
        if line and not line.endswith(b"\n"):
            raise self.damaged("cut off" if len(line) < LINE_LIMIT_BYTES else "too long")
        return line

    def _check(self, row: LogRow) -> None:
        expected = self.head.position + 1
        if row.position > expected == 1:
            raise self.damaged(f"begins at position {row.position}: an import wants the log from its beginning")
        if row.position != expected:
            how = "something is missing" if row.position > expected else "it was there before"
            raise self.damaged(f"position {row.position} where {expected} should be: {how}")
        if link_of(self.head.link, expected, row) != row.link:
            raise self.damaged(f"position {row.position} is not what its link was made of")
        try:
            decoded(row.topic, row.state)
        except UnreadableEvent as error:
            raise self.damaged(f"position {row.position} is no event that this version knows") from error


def unpacked(file: BufferedReader) -> BufferedIOBase:
    """The lines of a file, packed with gzip or not."""
    packed = file.peek(len(GZIP_MAGIC))[: len(GZIP_MAGIC)] == GZIP_MAGIC
    return gzip.GzipFile(fileobj=file) if packed else file


def check_empty(database: Path) -> None:
    """Raises StartError if there is a database that holds anything recorded, or what is left of one.

    Nobody may be using it.
    """
    if database.exists():
        try:
            with closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=rw", uri=True)) as connection:
                for table in ("stored_events", "session_keys"):
                    if connection.execute(f"SELECT EXISTS (SELECT 1 FROM {table})").fetchone()[0]:
                        raise StartError(f"there is a log already, and an import wants an empty store: {database}")
                connection.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.Error as error:
            raise StartError(f"the database cannot be used: {error}: {database}") from error
    for end in ("-wal", "-journal"):  # SQLite would take it for the new file's
        beside = database.with_name(database.name + end)
        if beside.exists():
            raise StartError(f"there are the remains of another database: {beside}")


def import_log(database: Path, rows: ExportedRows, keys: WrappedKeys | None, expected: str | None) -> int:
    """The new database in its place, and how many session keys are in it. Raises DamagedExport, StartError.

    Killed at any moment it leaves what was there before, and a file that the next import begins anew.
    """
    scratch = database.with_name(database.name + ".import")
    try:
        scratch.unlink(missing_ok=True)
        with closing(sqlite3.connect(scratch, isolation_level=None)) as connection:
            kept = _fill(connection, rows, keys)
        if not rows.head.position:
            raise rows.damaged("there is nothing in it")
        if expected is not None and expected != str(rows.head):
            raise DamagedExport(f"its head is {rows.head}, not {expected}")
        _sync(scratch)
        scratch.rename(database)
        _sync(database.parent)
    except (sqlite3.Error, OSError) as error:
        raise StartError(f"the import failed: {error}") from error
    finally:
        scratch.unlink(missing_ok=True)
    return kept


def _fill(connection: sqlite3.Connection, rows: ExportedRows, keys: WrappedKeys | None) -> int:
    # A file that nobody knows yet needs neither journal nor syncs on the way.
    for statement in ("PRAGMA journal_mode=OFF", "PRAGMA synchronous=OFF", *TABLES, "BEGIN"):
        connection.execute(statement)
    try:
        connection.executemany(_INSERT, rows)
    except sqlite3.IntegrityError as error:
        raise rows.damaged("its place in its stream is taken") from error
    kept = 0
    if keys is not None:
        connection.execute("INSERT INTO metadata VALUES (?,?)", [VAULT_FINGERPRINT, keys.fingerprint])
        try:
            kept = connection.executemany(_INSERT_KEY, keys).rowcount
        except sqlite3.IntegrityError as error:
            raise keys.damaged() from error  # a session comes twice
    connection.execute("COMMIT")
    return kept


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
