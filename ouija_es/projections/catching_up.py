"""The views from the log: from where they stand, or from zero. Blocking."""

from collections.abc import Callable, Container
from pathlib import Path

import structlog

from ouija_es.projections.folding import Folding
from ouija_es.projections.state import State
from ouija_es.projections.views import Views, rebuilt_path, remove
from ouija_es.projections.witness import Witness
from ouija_es.store.ledger import link_of
from ouija_es.store.rows import LogRows, log_rows
from ouija_es.store.seals import REACH_ROWS, Links

log = structlog.get_logger()

Progress = Callable[[int], None]
"""Called with the position reached."""


def load(views: Views, rows: LogRows) -> State:
    """The views' state if it belongs to this log, else the empty one, and the views are cleared.

    The row at its position must give the very link that was noted: an older copy of the log does not have it.
    """
    state = views.read()
    if state is not None and (state.position == 0 or _continues(state, rows)):
        return state
    if state is not None:
        log.warning("the log is another one than the views were made of", views_position=state.position)
    views.clear()
    return State()


def witness_from(state: State, rows: LogRows, trusted: Container[str] | None) -> Witness:
    """Goes on where a state ends: a seal that comes next may speak of what is before."""
    return Witness(trusted, Links(state.ordinal, rows.links_before(state.position, REACH_ROWS)))


def _continues(state: State, rows: LogRows) -> bool:
    row = rows.at(state.position)
    return row is not None and link_of(state.before, state.ordinal, row) == state.link


def catch_up(folding: Folding, views: Views, rows: LogRows, progress: Progress | None = None) -> None:
    """Folds the log to its end, a transaction a batch. Raises PoisonEvent: what came before it is written."""
    while batch := rows.after(folding.state.position):
        try:
            folding.fold(batch)
        finally:
            folding.write(views)
        if progress is not None:
            progress(folding.state.position)


def rebuild(database: Path, trusted: Container[str] | None = None, progress: Progress | None = None) -> State:
    """Makes new views from the first event on, to be taken over by whoever uses the old ones. Raises PoisonEvent.

    `trusted`: as of a `Witness`.
    """
    scratch = rebuilt_path(database).with_suffix(".new")
    remove(scratch)
    views = Views(scratch)
    folding = Folding(State(), Witness(trusted, Links()))
    try:
        with log_rows(database) as rows:
            catch_up(folding, views, rows, progress)
        folding.write(views)
    finally:
        views.close()
    scratch.rename(rebuilt_path(database))
    return folding.state
