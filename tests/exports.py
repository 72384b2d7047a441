"""Exports for tests: of a service's log, and of logs made for the purpose."""

import io
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from ouija_es.ids import uuid7
from ouija_es.store.cloudevents import from_line, to_line
from ouija_es.store.importing import ExportedRows, unpacked
from ouija_es.store.ledger import GENESIS, LogRow, link
from ouija_es.store.mapper import to_row
from tests.service import ROOT, environment
from tests.store.rows import abandoned, skipped, started


def run(folder: Path, *arguments: object, stdin: bytes = b"", **variables: str) -> subprocess.CompletedProcess[bytes]:
    """`ouija-es …` on a data folder."""
    return subprocess.run(
        [sys.executable, "-m", "ouija_es", *map(str, arguments)],
        cwd=ROOT,
        env=environment(folder, **variables),
        input=stdin,
        capture_output=True,
        check=False,
        timeout=60,
    )


def log_of(questions: int) -> list[LogRow]:
    """The rows of some questions, three each."""
    rows: list[LogRow] = []
    for _ in range(questions):
        stream = uuid7()
        for version, event in enumerate((skipped(), started(), abandoned()), 1):
            row = to_row(stream, version, event)
            rows.append(LogRow(0, stream.hex, version, row.topic, row.state, b""))
    return chained(rows)


def chained(rows: Iterable[LogRow]) -> list[LogRow]:
    """The rows with new positions and links, in the order in which they come."""
    found: list[LogRow] = []
    for number, row in enumerate(rows, 1):
        before = found[-1].link if found else GENESIS
        own = link(before, number, row.stream, row.version, row.topic, row.state)
        found.append(row._replace(position=number, link=own))
    return found


def lines_of(rows: Sequence[LogRow]) -> list[bytes]:
    return [to_line(row) for row in rows]


def rows_of(export: bytes) -> list[LogRow]:
    return [from_line(line) for line in export.splitlines()]


def exported(content: bytes) -> ExportedRows:
    """As `import_log` wants it."""
    return ExportedRows(unpacked(io.BufferedReader(io.BytesIO(content))))
