"""What a check of the log comes to."""

from enum import StrEnum
from typing import NamedTuple

from ouija_es.domain.events import Sealed
from ouija_es.errors import OuijaError


class Kind(StrEnum):
    """What is wrong."""

    EDITED = "edited"
    MISSING = "missing"
    INSERTED = "inserted"
    REORDERED = "reordered"
    BAD_SEAL = "bad seal"
    TRUNCATED = "truncated"
    HEAD_NOT_FOUND = "head not found"


class Wrong(OuijaError):
    """The log is not what it claims, from this position on."""

    def __init__(self, kind: Kind, position: int, what: str) -> None:
        super().__init__(f"wrong at position {position}: {kind}: {what}")
        self.kind = kind
        self.position = position
        self.what = what


class Head(NamedTuple):
    """A position and the chain's link there, in hex."""

    position: int
    hash: str

    def __str__(self) -> str:
        return f"{self.position}:{self.hash}"


class Report(NamedTuple):
    """Of a log that holds. `public_keys`: of all its seals."""

    head: Head
    last_seal: Sealed | None
    seals: int
    public_keys: frozenset[str]
