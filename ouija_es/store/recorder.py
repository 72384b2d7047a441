"""Group commit: events of everybody waiting become durable in one transaction, written by one thread.

While the writer is busy, what comes in gathers on the event loop; when it is done, all of that is handed over at once.
So a commit alone costs one fsync, and under load one fsync serves many. Nothing is reported as recorded before it is in
the file.
"""

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import UUID

from eventsourcing.persistence import IntegrityError, PersistenceError, StoredEvent

from ouija_es.errors import StoreErrorReason, StoreUnavailable
from ouija_es.store.sqlite import EventRecorder, open_recorder

QUEUE_LIMIT_EVENTS = 4_096
"""Events that may wait for the writer: about four batches of a saturated service, some 2 MB."""
RETRY_SECONDS = (0.05, 0.2)
"""Pauses before a failed batch is tried again on a fresh connection."""
PROBE_SECONDS = 10.0


class Append:
    """One caller's events, to be recorded all or none."""

    __slots__ = ("done", "rows", "session_key")

    def __init__(self, rows: Sequence[StoredEvent], session_key: tuple[UUID, bytes] | None) -> None:
        self.rows = rows
        self.session_key = session_key
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()


Verdict = StoreErrorReason | None
"""None: recorded."""


class GroupCommit:
    """The writer of the event log.

    Started and used on one event loop. `available` is False from a failed commit until the writer's own probe, every 10
    seconds, has written to the file again.
    """

    def __init__(
        self, path: Path, *, queue_limit: int = QUEUE_LIMIT_EVENTS, probe_seconds: float = PROBE_SECONDS
    ) -> None:
        self._path = path
        self._queue_limit = queue_limit
        self._probe_seconds = probe_seconds
        self._recorder: EventRecorder | None = None
        self._gathering: list[Append] = []
        self._waiting_events = 0
        self._busy = False
        self._handover: queue.SimpleQueue[list[Append] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._idle = asyncio.Event()
        self.available = True

    def start(self) -> None:
        """Opens the database and starts the writer. Raises the library's errors if the file cannot be opened."""
        self._recorder = open_recorder(self._path)
        self._loop = asyncio.get_running_loop()
        self._idle.set()
        self._thread = threading.Thread(target=self._write, name="event-writer", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Waits for what is being written, then stops the writer and closes the file."""
        await self._idle.wait()
        self._handover.put(None)
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    @property
    def queue_depth(self) -> int:
        """Events waiting for the writer or being written."""
        return self._waiting_events

    async def append(
        self, rows: Sequence[StoredEvent], *, seconds: float, session_key: tuple[UUID, bytes] | None = None
    ) -> None:
        """Returns when the rows are in the file; waits at most `seconds`.

        Raises StoreUnavailable: `conflict` (a version is taken), `full`, `io`, `busy` (also: too many waiting, or too
        late; then the rows may still become durable, as an fsync cannot be called back), `other`.
        """
        if self._waiting_events and self._waiting_events + len(rows) > self._queue_limit:
            raise StoreUnavailable("busy")
        append = Append(rows, session_key)
        self._gathering.append(append)
        self._waiting_events += len(rows)
        if not self._busy:
            self._hand_over()
        try:
            async with asyncio.timeout(seconds):
                await append.done
        except TimeoutError:
            raise StoreUnavailable("busy") from None

    def _hand_over(self) -> None:
        batch, self._gathering = self._gathering, []
        self._busy = bool(batch)
        if batch:
            self._idle.clear()
            self._handover.put(batch)
        else:
            self._idle.set()

    def _settle(self, batch: list[Append], verdicts: list[Verdict]) -> None:
        """On the loop: tells everybody how their events fared and hands over what has gathered meanwhile."""
        failed = False
        for append, verdict in zip(batch, verdicts, strict=True):
            self._waiting_events -= len(append.rows)
            failed = failed or verdict not in (None, "conflict")
            if append.done.done():
                continue  # its caller has given up waiting
            if verdict is None:
                append.done.set_result(None)
            else:
                append.done.set_exception(StoreUnavailable(verdict))
        if failed:
            self.available = False
        self._hand_over()

    def _recovered(self) -> None:
        self.available = True

    # What follows runs on the writer's thread.

    def _write(self) -> None:
        probe_at: float | None = None
        while True:
            if probe_at is not None and time.monotonic() >= probe_at:
                probe_at = None if self._probe() else time.monotonic() + self._probe_seconds
                if probe_at is None:
                    self._call(self._recovered)
            try:
                batch = self._handover.get(timeout=None if probe_at is None else max(0, probe_at - time.monotonic()))
            except queue.Empty:
                continue
            if batch is None:
                break
            verdicts = self._insert(batch)
            if probe_at is None and any(verdict not in (None, "conflict") for verdict in verdicts):
                probe_at = time.monotonic() + self._probe_seconds
            self._call(self._settle, batch, verdicts)
        self._close()

    def _call(self, callback: Callable[..., None], *args: object) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
                self._loop.call_soon_threadsafe(callback, *args)

    def _insert(self, batch: list[Append]) -> list[Verdict]:
        """Writes a batch in one transaction. A conflict is bisected, so that it fails alone."""
        try:
            self._insert_once(batch)
        except IntegrityError:
            if len(batch) == 1:
                return [self._insert_alone(batch[0])]
            middle = len(batch) // 2
            return self._insert(batch[:middle]) + self._insert(batch[middle:])
        except (PersistenceError, sqlite3.Error) as error:
            return self._insert_again(batch, error)
        return [None] * len(batch)

    def _insert_again(self, batch: list[Append], error: Exception) -> list[Verdict]:
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

    def _insert_once(self, batch: list[Append]) -> None:
        if self._recorder is None:
            raise PersistenceError("the database is closed")
        self._recorder.insert_events(
            [row for append in batch for row in append.rows],
            session_keys=[append.session_key for append in batch if append.session_key is not None],
        )

    def _is_there(self, append: Append) -> bool:
        """Whether these very rows are in the log: a failed commit may have become durable after all."""
        recorder = self._recorder
        if recorder is None or not append.rows:
            return False
        return all(
            list(recorder.select_events(row.originator_id, gt=row.originator_version - 1, limit=1)) == [row]
            for row in append.rows
        )

    def _reopen(self) -> None:
        self._close()
        self._recorder = open_recorder(self._path)

    def _close(self) -> None:
        if self._recorder is not None:
            self._recorder.datastore.close()
            self._recorder = None

    def _probe(self) -> bool:
        """Whether the file takes a write again."""
        try:
            if self._recorder is None:
                self._reopen()
            if self._recorder is None:
                return False
            with self._recorder.datastore.transaction(commit=True) as cursor:
                # As much as a batch of some asks would take, so that a nearly full disk does not count as well.
                cursor.execute("INSERT OR REPLACE INTO metadata VALUES ('write-probe', hex(randomblob(16384)))")
                cursor.execute("DELETE FROM metadata WHERE name='write-probe'")
        except (PersistenceError, sqlite3.Error):
            with contextlib.suppress(PersistenceError, sqlite3.Error):
                self._close()
            return False
        return True


def reason_of(error: BaseException) -> StoreErrorReason:
    """The closed set's word for a database error (https://www.sqlite.org/rescode.html)."""
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
