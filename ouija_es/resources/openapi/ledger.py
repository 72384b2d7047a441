"""Shapes of what is told of the ledger."""

from datetime import datetime
from typing import Annotated, Literal, TypedDict

from msgspec import Meta

Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class LedgerCheck(TypedDict):
    """The hash chain over the log, and its seals."""

    status: Literal["ok", "error"]
    sealedPosition: Annotated[int, Meta(ge=0)]
    error: str | None


class ProofSeal(TypedDict):
    """The last seal: a signature over a position and the ledger's hash there."""

    position: Annotated[int, Meta(ge=1)]
    hash: Hash
    sealedAt: datetime
    signature: str


class Proof(TypedDict):
    """What somebody has to note to know this log again."""

    position: Annotated[int, Meta(ge=0)]
    hash: Hash
    seal: ProofSeal | None
    publicKey: str
