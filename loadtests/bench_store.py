"""What the event store takes at most: rows of asks through the group commit, without anything else.

`python -m loadtests.bench_store [SECONDS]`. Beside it what SQLite and the disk below do by themselves.
"""

import asyncio
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import uvloop
from eventsourcing.persistence import StoredEvent

from loadtests.benched import FULL, ready
from loadtests.latencies import Latencies
from loadtests.make_log import Author
from loadtests.results import Table
from ouija_es.store.recorder import GroupCommit
from ouija_es.store.vault import Vault

ROWS_A_COMMIT = 256
MOST_ASKS = 20_000
"""Made beforehand for each row of the table; it ends early once they are used up."""


def prepared(seconds: float) -> Iterator[list[StoredEvent]]:
    author = Author(Vault(os.urandom(32)), datetime.now(UTC))
    return iter([author.question(number) for number in range(min(MOST_ASKS, round(seconds * 5_000)))])


async def group_commit(folder: Path, asks: int, seconds: float) -> tuple[float, Latencies]:
    """So many asks at once commit two rows, then two more, and begin anew. Rows a second, and the time of a commit."""
    recorder, waits, rows, four_each = GroupCommit(folder / f"{asks}.db"), Latencies(), 0, prepared(seconds)
    recorder.start()
    began = time.monotonic()

    async def ask_on() -> None:
        nonlocal rows
        for four in four_each:
            if time.monotonic() > began + seconds:
                return
            for half in (four[:2], four[2:]):
                began_at = time.perf_counter()
                await recorder.append(half, seconds=30)
                waits.add(time.perf_counter() - began_at)
                rows += len(half)

    await asyncio.gather(*(ask_on() for _ in range(asks)))
    took = time.monotonic() - began
    await recorder.close()
    return rows / took, waits


def plain_sqlite(folder: Path, seconds: float) -> tuple[float, Latencies]:
    """The same rows into a table with one index, without chain or keys."""
    connection = sqlite3.connect(folder / "plain.db", isolation_level=None)
    connection.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
        "CREATE TABLE rows (n INTEGER PRIMARY KEY, id TEXT, version INTEGER, topic TEXT, state BLOB,"
        "UNIQUE (id, version))"
    )
    commits, rows, four_each = Latencies(), 0, prepared(seconds)
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        some = [row for four in islice(four_each, ROWS_A_COMMIT // 4) for row in four]
        if not some:
            break
        values = [(row.originator_id.hex, row.originator_version, row.topic, row.state) for row in some]
        began_at = time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO rows (id, version, topic, state) VALUES (?,?,?,?)", values)
        connection.execute("COMMIT")
        commits.add(time.perf_counter() - began_at)
        rows += len(some)
    took = time.monotonic() - began
    connection.close()
    return rows / took, commits


def fsyncs(folder: Path, seconds: float) -> tuple[float, Latencies]:
    """4 KiB at the end of a file, and `fdatasync`."""
    took, block, stop_at = Latencies(), os.urandom(4096), time.monotonic() + seconds
    with (folder / "file").open("wb", buffering=0) as file:
        while time.monotonic() < stop_at:
            began_at = time.perf_counter()
            file.write(block)
            os.fdatasync(file.fileno())
            took.add(time.perf_counter() - began_at)
    return len(took) / seconds, took


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 15 if FULL else 3
    ready()
    header = ["what", "rows/s", "commit p50 ms", "p99 ms", "longest ms"]
    table = Table("store", f"The event store alone, {seconds:g} s a row", header)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for asks in (1, 64, 256):
            add(table, f"group commit, {asks} asks at once", *uvloop.run(group_commit(folder, asks, seconds)))
        add(table, f"plain SQLite, {ROWS_A_COMMIT} rows a commit", *plain_sqlite(folder, seconds))
        add(table, "one block and its sync", *fsyncs(folder, seconds))
    table.keep()
    return 0


def add(table: Table, what: str, per_second: float, took: Latencies) -> None:
    table.add(what, round(per_second), *(took.ms(percent) for percent in (50, 99, 100)))


if __name__ == "__main__":
    raise SystemExit(main())
