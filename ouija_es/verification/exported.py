"""The rows of an export, packed or not."""

import gzip
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from ouija_es.errors import StartError
from ouija_es.store.cloudevents import NotALine, from_line
from ouija_es.store.exporting import GZIP_MAGIC, UNREADABLE_GZIP
from ouija_es.store.ledger import LogRow
from ouija_es.verification.findings import Kind, Wrong

BATCH = 1_000


class Export:
    """A file of CloudEvents, one a line. `total` is not known before its end."""

    total = None

    def __init__(self, path: Path) -> None:
        self._path = path

    def batches(self) -> Iterator[Sequence[LogRow]]:
        """The rows in order. Raises Wrong at a line that is none, StartError if the file cannot be read."""
        try:
            with self._path.open("rb") as plain:
                packed = plain.read(len(GZIP_MAGIC)) == GZIP_MAGIC
                plain.seek(0)
                yield from _batches(gzip.GzipFile(fileobj=plain) if packed else plain)
        except OSError as error:
            raise StartError(f"the file cannot be read: {error.strerror or error}: {self._path}") from error


def from_lines(lines: Sequence[bytes], done: int) -> Iterator[Sequence[LogRow]]:
    """The rows of lines behind the first `done`. Raises Wrong: what comes before is given first."""
    rows: list[LogRow] = []
    for line in lines:
        try:
            rows.append(from_line(line))
        except NotALine as error:
            yield rows
            raise Wrong(Kind.EDITED, done + len(rows) + 1, f"the line is {error}") from error
    yield rows


def _batches(file: BinaryIO | gzip.GzipFile) -> Iterator[Sequence[LogRow]]:
    done = 0
    while True:
        try:
            lines = list(islice(file, BATCH))
        except UNREADABLE_GZIP as error:
            raise Wrong(Kind.TRUNCATED, done + 1, f"the packed file is cut off or damaged: {error}") from error
        if not lines:
            return
        yield from from_lines(lines, done)
        done += len(lines)
