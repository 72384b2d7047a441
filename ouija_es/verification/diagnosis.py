"""What has happened to a row that is wrong: tried out on the links that it and the rows behind it still claim."""

import struct
from collections.abc import Iterator

from ouija_es.store.ledger import GENESIS, LogRow, link_of
from ouija_es.store.seals import REACH_ROWS, Links
from ouija_es.verification.findings import Kind, Wrong

MISSING_TRIED = 100_000
"""How many rows in a row may be missing so that it is told how many."""


def diagnose(links: Links, link: bytes, ordinal: int, row: LogRow, following: Iterator[LogRow]) -> Wrong:
    """`row` should be the `ordinal`th, behind `link`, and is not; reads what follows as far as it needs to.

    `links`: those of the rows before, which were right by what they claim.
    """
    if row.position != ordinal:
        return _out_of_place(ordinal, row, following)
    for at in range(ordinal - 1, max(0, ordinal - 1 - REACH_ROWS), -1):
        if _fits(GENESIS if at == 1 else links.at(at - 1), at, row):
            return Wrong(Kind.INSERTED, at, f"{ordinal - at} rows were put in before what is at position {ordinal} now")
    first = next(following, None)
    if first is None:
        return Wrong(Kind.EDITED, ordinal, "the last row is not the one that was recorded, or does not belong there")
    if edited := _edited(link, ordinal, row, first):
        return Wrong(Kind.EDITED, ordinal, edited)
    for missing in range(1, MISSING_TRIED):
        if _fits(row.link, ordinal + 1 + missing, first):
            return Wrong(Kind.MISSING, ordinal, f"{missing} rows are gone that were between it and the one before it")
    return _moved(link, ordinal, row, first, following)


def _edited(link: bytes, ordinal: int, row: LogRow, first: LogRow) -> str | None:
    """The row behind it still holds on to what it was."""
    if _fits(row.link, ordinal + 1, first):
        return "the row is not the one that was recorded, or the one before it and its link were made anew"
    if _fits(_computed(link, ordinal, row), ordinal + 1, first):
        return "its link is not the one that was recorded"
    return None


def _out_of_place(ordinal: int, row: LogRow, following: Iterator[LogRow]) -> Wrong:
    if row.position < ordinal:
        return Wrong(Kind.INSERTED, ordinal, f"position {row.position} comes again")
    for later in following:
        if later.position == ordinal:
            return Wrong(Kind.REORDERED, ordinal, "it comes later")
    return Wrong(Kind.MISSING, ordinal, f"the next row is at position {row.position}")


def _moved(link: bytes, ordinal: int, row: LogRow, first: LogRow, following: Iterator[LogRow]) -> Wrong:
    """Somewhere behind it may be the row that belongs here, and the place to which this one belongs."""
    here, own = 0, False
    number, later = ordinal + 1, first
    while True:
        if not here and _fits(link, ordinal, later):
            here = number
            own = own or _fits(later.link, ordinal + 1, row)
        own = own or _fits(later.link, number, row) or _fits(later.link, number + 1, row)
        if here and own:
            return Wrong(Kind.REORDERED, ordinal, f"what belongs there is at position {here}")
        another = next(following, None)
        if another is None:
            break
        number, later = number + 1, another
    if here:
        return Wrong(Kind.INSERTED, ordinal, f"{here - ordinal} rows before what belongs there, at position {here}")
    return Wrong(Kind.EDITED, ordinal, "neither the row nor its link is the one that was recorded")


def _fits(link: bytes | None, ordinal: int, row: LogRow) -> bool:
    return link is not None and _computed(link, ordinal, row) == row.link


def _computed(link: bytes, ordinal: int, row: LogRow) -> bytes | None:
    try:
        return link_of(link, ordinal, row)
    except (ValueError, TypeError, AttributeError, struct.error):
        return None
