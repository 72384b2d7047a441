"""Everything the log adds up to, apart from what grows without bound: small enough to be kept whole at a position."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from ouija_es.domain.attempts import Ended, attempt_of
from ouija_es.domain.events import (
    Abandoned,
    Answered,
    Asked,
    AttemptFailed,
    AttemptSkipped,
    AttemptSucceeded,
    Erased,
    Event,
    Sealed,
    Withdrawn,
)
from ouija_es.errors import OuijaError
from ouija_es.projections.providers import Providers
from ouija_es.projections.recent import Recent
from ouija_es.projections.totals import Totals
from ouija_es.store.ledger import GENESIS, LogRow, link_of

VERSION = 2
"""Of the fold: views that were folded otherwise are rebuilt. Raise it with every change of what a fold keeps."""


class Gap(OuijaError):
    """A row does not follow the one folded last."""


class Mismatch(msgspec.Struct, frozen=True):
    """The first position at which the log is not what it claims to be, and why."""

    position: int
    what: str


class State(msgspec.Struct):
    """The fold of the first `ordinal` rows, the last of them at `position`.

    `link` is the chain's link of that row, `before` the one before it. `latest` is the latest time an event has told.
    `sealed` is the last seal that holds; `last_unsealing` the ordinal of the last row that is no seal itself.
    """

    position: int = 0
    ordinal: int = 0
    link: bytes = GENESIS
    before: bytes = GENESIS
    latest: datetime | None = None
    sealed: Sealed | None = None
    last_unsealing: int = 0
    mismatch: Mismatch | None = None
    totals: Totals = msgspec.field(default_factory=Totals)
    providers: Providers = msgspec.field(default_factory=Providers)
    recent: Recent = msgspec.field(default_factory=Recent)

    @property
    def sealed_position(self) -> int:
        """Up to which the log is sealed; 0 before the first seal."""
        return 0 if self.sealed is None else self.sealed.position

    @property
    def unsealed(self) -> int:
        """Events behind the last seal's position; 0 if they are nothing but seals."""
        sealed = self.sealed_position
        return self.ordinal - sealed if self.last_unsealing > sealed else 0

    def fold(self, row: LogRow, event: Event, *, linked: bool = False) -> None:
        """Adds the next row. `linked`: its link was computed from this state's just now. Raises Gap."""
        if row.position <= self.position:
            raise Gap(f"the row at {row.position} does not follow {self.position}")
        before, ordinal = self.link, self.ordinal + 1
        link = row.link if linked else link_of(before, ordinal, row)
        add = _ADDS.get(type(event))
        if add is not None:
            add(self, row.stream, event)
        # Last, so that a row that cannot be added has changed nothing.
        self.before, self.link, self.ordinal, self.position = before, link, ordinal, row.position
        if self.latest is None or event.at > self.latest:
            self.latest = event.at


def _asked(state: State, stream: str, event: Asked) -> None:
    state.recent.asked(stream, event)
    state.totals.asked(event)


def _tried(state: State, stream: str, event: Ended) -> None:
    attempt, question = attempt_of(event), state.recent.open.get(stream)
    if question is None:
        state.totals.tried(attempt, event.at, None)
    else:
        question.attempts.append(attempt)
        state.totals.tried(attempt, event.at, question.trace_id)


def _succeeded(state: State, stream: str, event: AttemptSucceeded) -> None:
    _tried(state, stream, event)
    state.totals.spent(event.provider, event.input_tokens, event.output_tokens)
    state.providers.succeeded(event)


def _failed(state: State, stream: str, event: AttemptFailed) -> None:
    _tried(state, stream, event)
    state.providers.failed(event)


def _answered(state: State, stream: str, event: Answered) -> None:
    question = state.recent.answered(stream, event)
    state.totals.answered(event, question)
    state.providers.answers.add(event.at, event.duration_ms)


def _withdrawn(state: State, stream: str, _: Withdrawn) -> None:
    state.recent.end(stream)
    state.totals.withdrawn += 1


def _abandoned(state: State, stream: str, _: Abandoned) -> None:
    state.recent.end(stream)
    state.totals.abandoned += 1


def _erased(state: State, _stream: str, _event: Erased) -> None:
    state.totals.erasures += 1


_ADDS: dict[type[Event], Callable[[State, str, Any], None]] = {
    Asked: _asked,
    AttemptSucceeded: _succeeded,
    AttemptFailed: _failed,
    AttemptSkipped: _tried,
    Answered: _answered,
    Withdrawn: _withdrawn,
    Abandoned: _abandoned,
    Erased: _erased,
}
"""What an event of a stream adds to which views. The others add up to nothing: of a try, its end does."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(State)


def encode(state: State) -> bytes:
    """The state as MessagePack."""
    return _encoder.encode(state)


def decode(encoded: bytes) -> State:
    """The state again. Raises msgspec.DecodeError."""
    return _decoder.decode(encoded)
