"""`ouija-es audit export` and `audit import`: a log leaves for a file, and becomes a database again."""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from io import BufferedIOBase, BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

from ouija_es.config import Settings
from ouija_es.errors import StartError

if TYPE_CHECKING:
    from ouija_es.store.rows import LogRows

STANDARD_INPUT = Path("-")


def position(text: str) -> int:
    """A position of a log, as an argument."""
    if not text.isascii() or not text.isdecimal():
        raise argparse.ArgumentTypeError("must be a position of the log, or 0")
    return int(text)


def export_log(options: argparse.Namespace, settings: Settings) -> int:
    """Writes the log to a new file, behind the end of an earlier export, or to standard output."""
    from ouija_es.store.exporting import write_lines
    from ouija_es.store.rows import log_rows
    from ouija_es.store.vault_file import write_vault

    database = settings.database_path
    if not database.exists():
        raise StartError(f"there is no database: {database}")
    told = sys.stdout if options.file else sys.stderr
    try:
        with log_rows(database) as log, _target(options, log) as (file, after):
            events, head = write_lines(log, file, after)
    except OSError as error:
        raise StartError(f"the export cannot be written: {error.strerror}") from error
    print(f"{events} events, head {head}", file=told)
    if options.with_vault is not None:
        print(f"{write_vault(database, options.with_vault)} session keys in {options.with_vault}", file=told)
    return 0


def import_log(options: argparse.Namespace, settings: Settings) -> int:
    """Makes the database of an export; nobody may be using the data folder, and nothing may be recorded in it."""
    from ouija_es.store import importing
    from ouija_es.store.keys import vault_key
    from ouija_es.store.sqlite import DataFolderLock
    from ouija_es.store.vault import Vault
    from ouija_es.store.vault_file import WrappedKeys

    lock = DataFolderLock(settings.database_path)
    lock.acquire()
    importing.check_empty(settings.database_path)
    with ExitStack() as files:
        rows = importing.ExportedRows(importing.unpacked(files.enter_context(_opened(options.file))))
        keys = None
        if options.with_vault is not None:
            key = vault_key(settings, make=False)
            keys = WrappedKeys(files.enter_context(_opened(options.with_vault)), Vault(key.raw), key.fingerprint())
        kept = importing.import_log(settings.database_path, rows, keys, options.expect_head)
    lock.release()
    print(f"{rows.head.position} events, head {rows.head}")
    if keys is not None:
        print(f"{kept} session keys")
    return 0


@contextmanager
def _target(options: argparse.Namespace, log: "LogRows") -> Iterator[tuple[BufferedIOBase, int]]:
    """Where the lines go, and the position behind which they begin."""
    from ouija_es.store.exporting import begun, packed

    with ExitStack() as files:
        if options.file is None:
            file: BufferedIOBase = files.enter_context(open(sys.stdout.fileno(), "wb", closefd=False))
            is_packed, after = options.gzip, options.after or 0
        elif (earlier := begun(options.file, log)) is None:
            file = files.enter_context(options.file.open("xb"))
            is_packed, after = options.gzip, options.after or 0
        else:
            if options.after is not None:
                raise StartError(f"there is a file already, and it says itself where it ends: {options.file}")
            if options.gzip and not earlier.is_packed:
                raise StartError(f"there is a file already, and it is not packed: {options.file}")
            file = files.enter_context(options.file.open("r+b"))
            file.truncate(earlier.end)
            file.seek(earlier.end)
            is_packed, after = earlier.is_packed, earlier.last.position if earlier.last else 0
        with packed(file) if is_packed else nullcontext(file) as lines:
            yield lines, after
        file.flush()
        if options.file is not None:
            os.fsync(file.fileno())


def _opened(path: Path) -> BufferedReader:
    """A file, or standard input. Raises StartError."""
    try:
        return open(sys.stdin.fileno(), "rb", closefd=False) if path == STANDARD_INPUT else path.open("rb")
    except OSError as error:
        raise StartError(f"the file cannot be read: {error.strerror}: {path}") from error
