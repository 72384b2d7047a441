"""Group commit: events of everybody waiting become durable in one transaction, written by one thread.

While the writer is busy, what comes in gathers on the event loop; when it is done, all of that is handed over at once.
So a commit alone costs one fsync, and under load one fsync serves many. Nothing is reported as recorded before it is in
the file.
"""

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from ouija_es.errors import StoreErrorReason, StoreUnavailable
from ouija_es.store.ledger import LogRow
from ouija_es.store.writer import Append, Verdict, Writer

QUEUE_LIMIT_EVENTS = 4_096
"""Events that may wait for the writer: about four batches of a saturated service, some 2 MB."""
PROBE_SECONDS = 10.0
TRUNCATE_SECONDS = 2.0
TIMER_SECONDS = 0.001
"""How much too early a loop's timer may be (uvloop rounds to milliseconds)."""


class Listener(Protocol):
    """Told on the loop, before those who wait for their rows go on."""

    def committed(self, rows: Sequence[LogRow], seconds: float) -> None:
        """These rows are in the log; the commit took so long."""

    def failed(self, reason: StoreErrorReason) -> None:
        """Somebody's rows were not recorded."""


Waiting = tuple[Append, "asyncio.Future[None]", float]
"""What is to be recorded, who is told, and until when (the loop's time)."""


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
        self._writer: Writer | None = None
        self._gathering: list[Waiting] = []
        self._written: list[Waiting] = []
        self._give_up_at: asyncio.TimerHandle | None = None
        self._waiting_events = 0
        self._busy = False
        self._busy_since = 0.0
        self._handover: queue.SimpleQueue[list[Waiting] | asyncio.Future[bool] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._idle = asyncio.Event()
        self._listener: Listener | None = None
        self.available = True

    def listen(self, listener: Listener) -> None:
        """Tells one listener of every commit from now on."""
        self._listener = listener

    def start(self) -> None:
        """Opens the database and starts the writer. Raises the library's errors if the file cannot be opened."""
        self._writer = Writer(self._path)
        self._loop = asyncio.get_running_loop()
        self._idle.set()
        self._thread = threading.Thread(target=self._write, args=[self._writer], name="event-writer", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Waits for what is being written, then stops the writer and closes the file."""
        await self._idle.wait()
        self._handover.put(None)
        if self._give_up_at is not None:
            self._give_up_at.cancel()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    @property
    def queue_depth(self) -> int:
        """Events waiting for the writer or being written."""
        return self._waiting_events

    @property
    def queue_limit(self) -> int:
        """How many may wait."""
        return self._queue_limit

    @property
    def batch_seconds(self) -> float:
        """How long the writer has been on its current batch; 0 while it has none."""
        return time.monotonic() - self._busy_since if self._busy else 0.0

    async def append(
        self,
        rows: Sequence[StoredEvent],
        *,
        seconds: float,
        session_key: tuple[UUID, bytes] | None = None,
        destroyed_key: UUID | None = None,
    ) -> None:
        """Returns when the rows are in the file; waits at most `seconds`.

        Raises StoreUnavailable: `conflict` (a version is taken), `full`, `io`, `busy` (also: too many waiting, or too
        late; then the rows may still become durable, as an fsync cannot be called back), `other`.
        """
        if self._waiting_events and self._waiting_events + len(rows) > self._queue_limit:
            raise StoreUnavailable("busy")
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        until = loop.time() + seconds
        self._gathering.append((Append(rows, session_key, destroyed_key), done, until))
        self._waiting_events += len(rows)
        if not self._busy:
            # Not at once: whoever else appends in this turn of the loop goes along.
            self._busy, self._busy_since = True, time.monotonic()
            self._idle.clear()
            loop.call_soon(self._hand_over)
        if self._give_up_at is None or until < self._give_up_at.when():
            self._look_again_at(until)
        await done

    async def truncate(self) -> bool:
        """As `Writer.truncate`, between two batches; False also if that takes longer than 2 s."""
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._handover.put(done)
        try:
            async with asyncio.timeout(TRUNCATE_SECONDS):
                return await done
        except TimeoutError:
            return False

    def _look_again_at(self, when: float) -> None:
        # One timer for all who wait, set for the first whose time ends: mostly it finds that he waits no more.
        if self._give_up_at is not None:
            self._give_up_at.cancel()
        self._give_up_at = asyncio.get_running_loop().call_at(when, self._give_up)

    def _give_up(self) -> None:
        self._give_up_at = None
        now = asyncio.get_running_loop().time() + TIMER_SECONDS
        waiting = [(done, until) for _, done, until in self._written + self._gathering if not done.done()]
        for done, until in waiting:
            if until <= now:
                done.set_exception(StoreUnavailable("busy"))
        later = [until for _, until in waiting if until > now]
        if later:
            self._look_again_at(min(later))

    def _hand_over(self) -> None:
        self._written = batch = self._gathering
        self._gathering = []
        self._busy = bool(batch)
        if batch:
            self._busy_since = time.monotonic()
            self._handover.put(batch)
        else:
            self._idle.set()

    def _settle(
        self, batch: list[Waiting], verdicts: list[Verdict], committed: Sequence[LogRow], seconds: float
    ) -> None:
        """On the loop: tells everybody how their events fared and hands over what has gathered meanwhile."""
        failed = False
        for (append, done, _), verdict in zip(batch, verdicts, strict=True):
            self._waiting_events -= len(append.rows)
            failed = failed or verdict not in (None, "conflict")
            if done.done():
                continue  # its caller has given up waiting
            if verdict is None:
                done.set_result(None)
            else:
                done.set_exception(StoreUnavailable(verdict))
        if failed:
            self.available = False
        self._hand_over()
        if self._listener is not None:
            self._listener.committed(committed, seconds)
            for verdict in verdicts:
                if verdict is not None:
                    self._listener.failed(verdict)

    def _recovered(self) -> None:
        self.available = True

    def _write(self, writer: Writer) -> None:
        """On the writer's thread: one batch after the other, and a probe now and then while the file takes none."""
        probe_at: float | None = None
        while True:
            if probe_at is not None and time.monotonic() >= probe_at:
                probe_at = None if writer.probe() else time.monotonic() + self._probe_seconds
                if probe_at is None:
                    self._call(self._recovered)
            try:
                batch = self._handover.get(timeout=None if probe_at is None else max(0, probe_at - time.monotonic()))
            except queue.Empty:
                continue
            if batch is None:
                break
            if isinstance(batch, asyncio.Future):
                self._call(_tell, batch, writer.truncate())
                continue
            started_at = time.monotonic()
            verdicts = writer.insert([append for append, _, _ in batch])
            seconds = time.monotonic() - started_at
            if probe_at is None and any(verdict not in (None, "conflict") for verdict in verdicts):
                probe_at = time.monotonic() + self._probe_seconds
            self._call(self._settle, batch, verdicts, writer.take_committed(), seconds)
        writer.close()

    def _call(self, callback: Callable[..., None], *args: object) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
                self._loop.call_soon_threadsafe(callback, *args)


def _tell(done: "asyncio.Future[bool]", truncated: bool) -> None:  # noqa: FBT001 - a callback
    if not done.done():
        done.set_result(truncated)
