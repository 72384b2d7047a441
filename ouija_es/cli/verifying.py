"""`ouija-es audit verify` and `audit head`: whether a log is what it claims, and what to note of it."""

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ouija_es.config import Settings
from ouija_es.errors import StartError

if TYPE_CHECKING:
    from ouija_es.store.ledger import LogRow
    from ouija_es.verification.database import Database
    from ouija_es.verification.exported import Export
    from ouija_es.verification.findings import Head, Report
    from ouija_es.verification.service import Service

_SQLITE = b"SQLite format 3\0"
_NO_KEY = (
    "no public key was given: the seals are only compared with the key they name themselves, or that lies with them"
)
_NO_SEAL = "nothing is sealed: a public key proves nothing here"
_NO_HEAD = "no head was given: whether newer events were cut off, only one that was noted elsewhere can tell"


def head_of(text: str) -> "Head":
    """POSITION:HASH, as an argument."""
    from ouija_es.verification.findings import Head

    found = re.fullmatch(r"(\d{1,18}):([0-9a-f]{64})", text.strip())
    if found is None:
        raise argparse.ArgumentTypeError("must be POSITION:HASH, as `audit head`, /audit/proof or a log line tells it")
    return Head(int(found[1]), found[2])


def verify(options: argparse.Namespace, settings: Settings) -> int:
    """Computes everything anew and says what it came to."""
    from ouija_es.verification.verifier import Verifier

    with _source(options, settings) as source:
        trusted, origin = _trusted(options, source)
        heads = [*options.expect_head, *_told(source)]
        report = Verifier(trusted, heads).verify(_watched(source))
    _tell(report, origin)
    if not options.public_key:
        print(f"warning: {_NO_KEY}", file=sys.stderr)
    if not heads:
        print(f"warning: {_NO_HEAD}", file=sys.stderr)
    return 0


def head(options: argparse.Namespace, settings: Settings) -> int:
    """Prints POSITION:HASH of the last event, as its row claims it."""
    from ouija_es.verification.database import opened

    path = options.file or settings.database_path
    if not path.exists():
        raise StartError(f"there is no database: {path}")
    with opened(path) as database:
        last = database.head()
    if last is None:
        raise StartError("nothing is recorded")
    print(last)
    return 0


@contextmanager
def _source(options: argparse.Namespace, settings: Settings) -> Iterator["Database | Export | Service"]:
    from ouija_es.verification.database import opened
    from ouija_es.verification.exported import Export
    from ouija_es.verification.service import Service

    if re.match("https?://", options.source):
        yield Service(options.source, _token(options.token_file, settings))
        return
    path = Path(options.source)
    try:
        with path.open("rb") as file:
            is_database = file.read(len(_SQLITE)) == _SQLITE
    except OSError as error:
        raise StartError(f"the file cannot be read: {error.strerror}: {path}") from error
    if is_database:
        with opened(path) as database:
            yield database
    else:
        yield Export(path)


def _token(file: Path | None, settings: Settings) -> str:
    if file is not None:
        try:
            return file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise StartError(f"the token cannot be read: {file}") from error
    if settings.audit_token is None:
        raise StartError("AUDIT_TOKEN or --token-file must give the service's audit token")
    return settings.audit_token.get_secret_value()


def _trusted(options: argparse.Namespace, source: "Database | Export | Service") -> tuple[set[str] | None, str]:
    """The public keys whose seals count, and who says so."""
    if options.public_key:
        return {key.rstrip("=") for key in options.public_key}, "as given"
    told = getattr(source, "public_key", None)
    if told is not None:
        return {told}, "as the service tells it"
    if beside := _beside(Path(options.source)):
        return {beside}, "as the key file beside the database has it"
    return None, "as the seals name it"


def _beside(database: Path) -> str | None:
    from pydantic import SecretStr

    from ouija_es.config import key_bytes
    from ouija_es.store.seals import LedgerKey

    try:
        key = database.with_name(database.name + ".ledger-key").read_text(encoding="ascii").strip()
        return LedgerKey(key_bytes(SecretStr(key))).public
    except (OSError, ValueError):
        return None


def _told(source: "Database | Export | Service") -> "list[Head]":
    heads = getattr(source, "heads", None)
    return heads() if heads is not None else []


def _watched(source: "Database | Export | Service") -> "Iterator[Sequence[LogRow]]":
    """The rows; on a terminal with a progress bar."""
    from ouija_es.cli.progress import progress

    done = 0
    with progress(source.total) as show:
        for batch in source.batches():
            yield batch
            done += len(batch)
            show(done)


def _tell(report: "Report", origin: str) -> None:
    print(f"OK: {report.head.position} events hold, head {report.head}")
    seal = report.last_seal
    if seal is None:
        print(f"warning: {_NO_SEAL}", file=sys.stderr)
        return
    at = seal.at.isoformat(timespec="seconds").replace("+00:00", "Z")
    print(f"sealed up to {seal.position}:{seal.hash} at {at}, {report.seals} seals")
    print(f"events behind that, not sealed yet: {report.head.position - seal.position}")
    for key in sorted(report.public_keys):
        print(f"public key {key}, {origin}")
