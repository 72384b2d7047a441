"""The numbers as they stood: from the nearest checkpoint on, the log is folded again. One at a time."""

import asyncio
import sqlite3
from datetime import datetime
from pathlib import Path

from ouija_es.errors import StoreUnreadable
from ouija_es.projections.folding import Folding
from ouija_es.projections.state import State
from ouija_es.projections.views import Views, views_path
from ouija_es.store.ledger import LogRow
from ouija_es.store.mapper import time_of
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
        with log_rows(self._database) as log:
            while rows := log.after(folding.state.position):
                wanted = [row for row in rows if position is None or row.position <= position]
                if at is not None:
                    wanted = _until(wanted, at)
                folding.fold(wanted)
                if len(wanted) < len(rows):
                    break
        return folding.state


def _until(rows: list[LogRow], at: datetime) -> list[LogRow]:
    for number, row in enumerate(rows):
        if time_of(row.topic, row.state) > at:
            return rows[:number]
    return rows
