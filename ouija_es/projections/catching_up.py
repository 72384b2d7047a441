"""The views from the log: from where they stand, or from zero. Blocking."""

from collections.abc import Callable
from pathlib import Path

from ouija_es.projections.folding import Folding
from ouija_es.projections.state import State
from ouija_es.projections.views import Views, rebuilt_path, remove
from ouija_es.store.ledger import link_of
from ouija_es.store.rows import LogRows, log_rows

Progress = Callable[[int], None]
"""Called with the position reached."""


def load(views: Views, log: LogRows) -> State:
    """The views' state if it belongs to this log, else the empty one, and the views are cleared.

    The row at its position must give the very link that was noted: an older copy of the log does not have it.
    """
    state = views.read()
    if state is not None and (state.position == 0 or _continues(state, log)):
        return state
    views.clear()
    return State()


def _continues(state: State, log: LogRows) -> bool:
    row = log.at(state.position)
    return row is not None and link_of(state.before, state.ordinal, row) == state.link


def catch_up(folding: Folding, views: Views, log: LogRows, progress: Progress | None = None) -> None:
    """Folds the log to its end, a transaction a batch. Raises PoisonEvent: what came before it is written."""
    while rows := log.after(folding.state.position):
        try:
            folding.fold(rows)
        finally:
            folding.write(views)
        if progress is not None:
            progress(folding.state.position)


def rebuild(database: Path, progress: Progress | None = None) -> State:
    """Makes new views from the first event on, to be taken over by whoever uses the old ones. Raises PoisonEvent."""
    scratch = rebuilt_path(database).with_suffix(".new")
    remove(scratch)
    views = Views(scratch)
    folding = Folding(State())
    try:
        with log_rows(database) as log:
            catch_up(folding, views, log, progress)
        folding.write(views)
    finally:
        views.close()
    scratch.rename(rebuilt_path(database))
    return folding.state
