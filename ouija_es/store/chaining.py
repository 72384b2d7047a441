"""Gives a database from before the ledger its links, once: from then on it is as if it had always had them."""

import sqlite3
from contextlib import closing
from pathlib import Path

from ouija_es.errors import StartError
from ouija_es.store.ledger import GENESIS, link

BATCH = 5_000

_COLUMNS = "SELECT name FROM pragma_table_info('stored_events')"
_ADD = "ALTER TABLE stored_events ADD COLUMN link BLOB NOT NULL DEFAULT x''"
_AFTER = (
    "SELECT position, originator_id, originator_version, topic, state FROM stored_events "
    "WHERE position>? ORDER BY position LIMIT ?"
)


def chain_once(database: Path) -> int:
    """How many rows were chained; 0 if there is nothing to do. All or nothing; under the data folder's lock.

    It takes the rows as they are: what was done to them before, nobody can prove. Raises StartError.
    """
    if not database.exists():
        return 0
    try:
        where = f"{database.absolute().as_uri()}?mode=rw"
        with closing(sqlite3.connect(where, uri=True, isolation_level=None, timeout=2)) as connection:
            columns = {row[0] for row in connection.execute(_COLUMNS)}
            if not columns or "link" in columns:
                return 0
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(_ADD)
            chained = _chain(connection)
            connection.execute("COMMIT")
            return chained
    except sqlite3.Error as error:
        raise StartError(f"the database cannot be used: {error}: {database}") from error


def _chain(connection: sqlite3.Connection) -> int:
    previous, ordinal, position = GENESIS, 0, 0
    while rows := connection.execute(_AFTER, [position, BATCH]).fetchall():
        links = []
        for position, *row in rows:
            ordinal += 1
            if position != ordinal:
                raise StartError(f"the log has no event at position {ordinal}: it cannot be chained")
            previous = link(previous, ordinal, *row)
            links.append((previous, position))
        connection.executemany("UPDATE stored_events SET link=? WHERE position=?", links)
    return ordinal
