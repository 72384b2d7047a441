"""Everything the log adds up to, apart from what grows without bound: small enough to be kept whole at a position."""

from datetime import datetime

import msgspec

from ouija_es.domain.events import AttemptStarted, Event, Sealed
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
        self.before = self.link
        self.ordinal += 1
        self.link = row.link if linked else link_of(self.before, self.ordinal, row)
        self.position = row.position
        if self.latest is None or event.at > self.latest:
            self.latest = event.at
        if isinstance(event, AttemptStarted):
            return  # adds up to nothing: its end does
        self.totals.fold(event, self.recent.open.get(row.stream))
        self.providers.fold(event)
        self.recent.fold(row.stream, event)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(State)


def encode(state: State) -> bytes:
    """The state as MessagePack."""
    return _encoder.encode(state)


def decode(encoded: bytes) -> State:
    """The state again. Raises msgspec.DecodeError."""
    return _decoder.decode(encoded)
