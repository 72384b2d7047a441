"""The one projector: follows the log and keeps the views at one position.

What this process commits is fed to it before the reply leaves, and folded on the event loop as soon as somebody looks,
else many events at a time: no ask waits for it, and /metrics never lacks what a client has seen. Whatever else is in
the log is read from there. Once a second the views are written.
"""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import Any, TypeVar

import structlog

from ouija_es.errors import StoreUnreadable
from ouija_es.projections import catching_up
from ouija_es.projections.folding import Folding, PoisonEvent
from ouija_es.projections.sessions import SessionRow
from ouija_es.projections.state import State
from ouija_es.projections.views import Views, open_views, read_sessions, rebuilt_path
from ouija_es.store.ledger import LogRow
from ouija_es.store.rows import log_rows

WRITE_SECONDS = 1.0
LOOK_SECONDS = 10.0
"""Now and then the log is looked at without a feed: what was committed late, after an error, nobody has told of."""
AGAIN_SECONDS = 5.0
CURRENT_SECONDS = 3.0
"""How long a reader waits for views that hold what was recorded up to now."""
FED_EVENTS = 256
"""So many events are folded at once if nobody looks before: alone each takes twice as long. One or two milliseconds."""

log = structlog.get_logger()

Result = TypeVar("Result")
Watch = Callable[[int, int], contextlib.AbstractContextManager[None]]


def _unwatched(*_: int) -> contextlib.AbstractContextManager[None]:
    return contextlib.nullcontext()


class Projector:
    """Started, fed and asked on one event loop.

    `trusted`: the public keys whose seals count; None: anybody's. `watch(events, position)` is held open while so many
    events, the last at that position, are folded.
    """

    def __init__(self, database: Path, trusted: Container[str] | None = None, watch: Watch = _unwatched) -> None:
        self._database = database
        self._trusted = trusted
        self._views: Views | None = None
        self._watch = watch
        self._folding = Folding(State())
        self._fed: list[Sequence[LogRow]] = []
        self._fed_events = 0
        self._head = 0
        self._written = 0
        self._just_written = asyncio.Event()
        self._reopen = True
        self._working: asyncio.Future[Any] | None = None
        self._looked_at = 0.0
        self._following = False
        self._wake = asyncio.Event()
        self._stopped_at: int | None = None

    @property
    def state(self) -> State:
        """The fold of all that was fed so far: read it, do not change it, do not keep it."""
        self._fold_fed()
        return self._folding.state

    @property
    def stopped_at(self) -> int | None:
        """The position of an event that cannot be folded."""
        self._fold_fed()
        return self._stopped_at

    @property
    def is_current(self) -> bool:
        """Whether everything committed so far is folded."""
        return self._following and self.stopped_at is None

    @property
    def lag_events(self) -> int:
        """Events in the log that are not folded yet."""
        return max(0, self._head - self.state.position)

    @property
    def events_recorded(self) -> int:
        """Events in the log."""
        return self.state.ordinal + self.lag_events

    def feed(self, rows: Sequence[LogRow]) -> None:
        """Takes what one commit has recorded, if it follows at once; else the log is read."""
        if not rows:
            return
        self._head = max(self._head, rows[-1].position)
        if not self._following or self._stopped_at is not None:
            return
        if rows[0].position != (self._fed[-1][-1] if self._fed else self._folding.state).position + 1:
            self._following = False
            self._wake.set()
            return
        self._fed.append(rows)
        self._fed_events += len(rows)
        if self._fed_events >= FED_EVENTS:
            self._fold_fed()

    def _fold_fed(self) -> None:
        if not self._fed:
            return
        fed, self._fed = self._fed, []
        events, self._fed_events = self._fed_events, 0
        try:
            with self._watch(events, fed[-1][-1].position):
                for rows in fed:
                    self._folding.fold(rows, linked=True)
        except PoisonEvent as error:
            self._stop(error)

    async def sessions(self, before_position: int, limit: int) -> list[SessionRow]:
        """Sessions opened before a position, newest first, as they stand now. Raises StoreUnreadable."""
        try:
            await self._current()
            return await asyncio.to_thread(read_sessions, self._database, before_position, limit)
        except (TimeoutError, sqlite3.Error) as error:
            raise StoreUnreadable("The views cannot be read just now.", retry_after_seconds=5) from error

    async def _current(self) -> None:
        """Until the views hold what is in the log by now, or all that can be folded. Raises TimeoutError."""
        wanted = self._head if self.stopped_at is None else self.state.position
        async with asyncio.timeout(CURRENT_SECONDS):
            while self._written < wanted:
                self._just_written.clear()
                self._wake.set()
                await self._just_written.wait()

    async def start(self) -> None:
        """Opens the views and folds what they lack. Raises StoreUnreadable; a poison event is logged, and shown."""
        try:
            await self._in_thread(self._open)
            await self._catch_up()
        except (sqlite3.Error, OSError) as error:
            _log_failure(error)  # `run` tries again; the service answers without its views

    async def run(self) -> None:
        """Writes the views, catches up, takes over rebuilt views, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(WRITE_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            try:
                if self._reopen or rebuilt_path(self._database).exists():
                    await self._take_over()
                elif self.stopped_at is None and (not self._following or self._look_is_due()):
                    await self._catch_up()
                await self._write()
            except (StoreUnreadable, sqlite3.Error, OSError) as error:
                _log_failure(error)
                await asyncio.sleep(AGAIN_SECONDS)

    async def close(self) -> None:
        """Writes what is folded, and closes the views; to be called once `start` and `run` are cancelled."""
        if self._working is not None:
            # What was cancelled goes on in its thread. Of changes it may have lost nothing must be written behind it.
            await asyncio.wait([self._working])
            self._reopen = self._reopen or self._working.exception() is not None
        try:
            if not self._reopen:
                await self._write()
            if self._views is not None:
                await asyncio.to_thread(self._views.close)
        except sqlite3.Error as error:
            _log_failure(error)

    def _open(self) -> None:
        views, self._views, self._reopen = self._views, None, True
        if views is not None:
            with contextlib.suppress(sqlite3.Error):  # they are opened anew just because they could not be written
                views.close()
        self._views = open_views(self._database)
        with log_rows(self._database) as rows:
            state = catching_up.load(self._views, rows)
            self._folding = Folding(state, catching_up.witness_from(state, rows, self._trusted))
            self._head = max(self._head, rows.head())
        self._written = self._folding.state.position
        self._reopen = False

    async def _take_over(self) -> None:
        self._fold_fed()
        self._following, self._stopped_at = False, None
        await self._in_thread(self._open)
        await self._catch_up()
        log.info("views opened", position=self.state.position)

    async def _catch_up(self) -> None:
        """Reads the log until nothing is committed beyond it; the state is replaced batch by batch, never half-way."""
        views = self._views
        if views is None:
            return
        self._fold_fed()
        self._following = False  # what is fed meanwhile is read from the log
        self._looked_at = time.monotonic()
        while True:
            try:
                folding = await self._in_thread(self._next_batch, self._folding, views)
            except (sqlite3.Error, StoreUnreadable):
                self._reopen = True  # what the batch had taken along is lost: begin again with what is written
                raise
            if folding is not None:
                self._folding = folding
                self._note_written(self.state.position)
            elif self._head <= self.state.position:  # else something was committed since the last look
                self._following = True
                return
            if self.stopped_at is not None:
                return

    def _next_batch(self, folding: Folding, views: Views) -> Folding | None:
        """In a thread: a copy of the folding, one batch further; None at the end of the log."""
        with log_rows(self._database) as rows:
            batch = rows.after(folding.state.position)
        if not batch:
            return None
        folding = folding.copy()
        try:
            folding.fold(batch)
        except PoisonEvent as error:
            self._stop(error)
        folding.write(views)
        return folding

    async def _write(self) -> None:
        views = self._views
        if views is None or self.state.position == self._written:
            return
        position, changes = self.state.position, self._folding.take()
        try:
            await self._in_thread(views.write, *changes)
        except sqlite3.Error:
            self._folding.put_back(changes)
            raise
        self._note_written(position)

    def _note_written(self, position: int) -> None:
        self._written = position
        self._just_written.set()

    def _look_is_due(self) -> bool:
        return time.monotonic() - self._looked_at > LOOK_SECONDS

    async def _in_thread(self, work: Callable[..., Result], *args: object) -> Result:
        self._working = working = asyncio.get_running_loop().run_in_executor(None, work, *args)
        return await asyncio.shield(working)

    def _stop(self, error: PoisonEvent) -> None:
        self._stopped_at = error.position
        log.error("the projector has stopped: an event cannot be read", position=error.position)


def _log_failure(error: Exception) -> None:
    # The views are not the log: the service answers, and what is folded is kept in memory.
    log.error("the views cannot be kept", kind=type(error).__name__)
