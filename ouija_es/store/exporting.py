"""Writes the log into a file, a line an event (see `store.cloudevents`), and goes on with one begun earlier. Blocking.

The log may grow meanwhile: what is written ends at its head of when the writing began.
"""

import gzip
import mmap
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase, BufferedReader
from pathlib import Path
from typing import NamedTuple

from ouija_es.errors import OuijaError
from ouija_es.store.cloudevents import NotALine, from_line, to_line
from ouija_es.store.ledger import GENESIS, LogRow
from ouija_es.store.rows import LogRows

GZIP_MAGIC = b"\x1f\x8b"
UNREADABLE_GZIP = (gzip.BadGzipFile, zlib.error, EOFError)


class NotContinued(OuijaError):
    """A file that is there already cannot be gone on with; the message says why."""


class Head(NamedTuple):
    """The last row of a log, or of a part of it."""

    position: int
    link: bytes

    def __str__(self) -> str:
        return f"{self.position}:{self.link.hex()}"


def write_lines(log: LogRows, file: BufferedIOBase, after: int) -> tuple[int, Head]:
    """Writes what is behind a position; how many events, and the last of the log. Raises NotALine, OSError."""
    end = log.head()
    row = log.at(end) if end else None
    head = Head(end, row.link if row else GENESIS)
    events, position = 0, after
    while position < end:
        rows = [row for row in log.after(position) if row.position <= end]
        file.write(b"".join(map(to_line, rows)))
        events, position = events + len(rows), rows[-1].position
    return events, head


@contextmanager
def packed(file: BufferedIOBase) -> Iterator[BufferedIOBase]:
    """What is written to it goes into the file as a gzip member, the same bytes for the same lines."""
    with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0) as member:
        yield member


class Begun(NamedTuple):
    """An export that was begun earlier: whether it is packed, its last whole line, and where that ends."""

    is_packed: bool
    last: LogRow | None
    end: int


def begun(path: Path, log: LogRows) -> Begun | None:
    """What of the log is in the file; None if there is no file. Raises NotContinued, OSError."""
    try:
        with path.open("rb") as file:
            is_packed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
            line, end = _last_packed(path) if is_packed else _last(file)
    except FileNotFoundError:
        return None
    if not line:
        return Begun(is_packed, None, end)
    try:
        row = from_line(line)
    except NotALine as error:
        raise NotContinued(f"the file is no export: {error}") from error
    if log.at(row.position) != row:
        raise NotContinued(f"the file is of another log: position {row.position} is not the same in this one")
    return Begun(is_packed, row, end)


def _last(file: BufferedReader) -> tuple[bytes, int]:
    """The last whole line; a piece of one behind it is what a writer that was killed has left."""
    size = file.seek(0, 2)
    if not size:
        return b"", 0
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        end = content.rfind(b"\n") + 1
        if not end:
            raise NotContinued("the file is no export: it has no whole line")
        return content[content.rfind(b"\n", 0, end - 1) + 1 : end], end


def _last_packed(path: Path) -> tuple[bytes, int]:
    line = b""
    try:
        with gzip.open(path) as file:
            for line in file:  # noqa: B007 - the last one is wanted
                pass
    except UNREADABLE_GZIP as error:
        raise NotContinued(f"the packed file is cut off or damaged, begin a new one: {error}") from error
    return line, path.stat().st_size
