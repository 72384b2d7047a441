"""The numbers as they stood: from the nearest checkpoint on, the log is folded again. One at a time."""

import asyncio
import sqlite3
from datetime import datetime
from pathlib import Path

from ouija_es.errors import StoreUnreadable
from ouija_es.projections.folding import Folding, PoisonEvent
from ouija_es.projections.state import State
from ouija_es.projections.views import Views, views_path
from ouija_es.store.rows import log_rows


class AsOf:
    """Answers for one database. Raises StoreUnreadable."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._one = asyncio.Lock()

    async def position(self, position: int) -> State:
        """The fold of everything up to a position; of the whole log if that is shorter."""
        async with self._one:
            return await asyncio.to_thread(self._fold, position, None)

    async def time(self, at: datetime) -> State:
        """The fold of everything before the first event that happened later."""
        async with self._one:
            return await asyncio.to_thread(self._fold, None, at)

    def _fold(self, position: int | None, at: datetime | None) -> State:
        try:
            views = Views(views_path(self._database))
            try:
                folding = Folding(views.checkpoint_before(position=position, at=at))
            finally:
                views.close()
        except sqlite3.Error as error:
            raise StoreUnreadable("The views cannot be read just now.", retry_after_seconds=5) from error
        try:
            with log_rows(self._database) as log:
                while rows := log.after(folding.state.position):
                    wanted = [row for row in rows if position is None or row.position <= position]
                    if not folding.fold(wanted, until=at) or len(wanted) < len(rows):
                        break
        except PoisonEvent as error:
            raise StoreUnreadable(f"Up to there the log cannot be read: {error}.") from error
        return folding.state
