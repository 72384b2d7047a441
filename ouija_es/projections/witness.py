"""Whether the log is what its rows and seals claim, looked at with every row that is folded."""

from collections.abc import Container

from ouija_es.domain.events import Event, Sealed
from ouija_es.projections.state import Mismatch, State
from ouija_es.store.ledger import LogRow
from ouija_es.store.seals import Links, flaw


class Witness:
    """Follows one fold. `trusted`: the public keys whose seals count; None: anybody's.

    Without `links`, seals are taken as they are: for a fold from the middle of a log that was looked at before.
    """

    def __init__(self, trusted: Container[str] | None = None, links: Links | None = None) -> None:
        self._trusted = trusted
        self._links = links

    def look(self, state: State, row: LogRow, event: Event) -> None:
        """At the row that was folded last. What is wrong first stays noted, and no later seal counts."""
        wrong = "the row is not the one that was recorded" if row.link != state.link else None
        if type(event) is Sealed:
            if wrong is None and self._links is not None:
                wrong = flaw(event, self._links, self._trusted)
            if wrong is None and state.mismatch is None:
                state.sealed = event
        else:
            state.last_unsealing = state.ordinal
        if wrong is not None and state.mismatch is None:
            state.mismatch = Mismatch(row.position, wrong)
        if self._links is not None:
            self._links.add(state.link)
