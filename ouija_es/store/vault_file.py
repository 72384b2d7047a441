"""The wrapped session keys as a file of their own, so that a log can travel without them. Blocking.

The first line says which vault key they are wrapped under, and how many follow; each other line is one session's.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from io import BufferedIOBase
from pathlib import Path
from typing import Literal
from uuid import UUID

import msgspec

from ouija_es.errors import OuijaError, StartError
from ouija_es.store.keys import VAULT_FINGERPRINT
from ouija_es.store.vault import SealBroken, Vault

LINE_LIMIT_BYTES = 4_096

_KEYS = "SELECT session_id, wrapped FROM session_keys ORDER BY session_id"


class DamagedVault(OuijaError):
    """A vault file is not as it was written; the message names the line."""


class Heading(msgspec.Struct, kw_only=True, rename="camel"):
    """The first line. `vault_fingerprint` is null in the file of a database that no service has written to."""

    format: Literal["ouija.session-keys.v1"] = "ouija.session-keys.v1"
    vault_fingerprint: str | None
    sessions: int


class WrappedKey(msgspec.Struct):
    """Any other line: a session and its key as it is stored."""

    session: UUID
    wrapped: bytes


_encoder = msgspec.json.Encoder()
_heading_decoder = msgspec.json.Decoder(Heading)
_key_decoder = msgspec.json.Decoder(WrappedKey)


class WrappedKeys:
    """The keys in a vault file, each opened once to see that it can be. Raises DamagedVault, StartError.

    They are given as parameters of SQL: `session` in hex, `uuid` with hyphens, `wrapped`.
    """

    def __init__(self, file: BufferedIOBase, vault: Vault, fingerprint: str) -> None:
        self._file = file
        self._vault = vault
        self._line = 1
        self.fingerprint = fingerprint
        try:
            self._heading = _heading_decoder.decode(file.readline(LINE_LIMIT_BYTES))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DamagedVault("line 1: this is no vault file") from error
        if self._heading.sessions and self._heading.vault_fingerprint != fingerprint:
            raise StartError(
                f"the vault file is of another vault key (fingerprint {self._heading.vault_fingerprint}) than this "
                f"store's (fingerprint {fingerprint}): its keys would open nothing"
            )

    def __iter__(self) -> Iterator[dict[str, object]]:
        while line := self._file.readline(LINE_LIMIT_BYTES):
            self._line += 1
            try:
                key = _key_decoder.decode(line)
                self._vault.unwrap(key.session, key.wrapped)
            except (msgspec.DecodeError, UnicodeDecodeError, SealBroken) as error:
                raise self.damaged() from error
            yield {"session": key.session.hex, "uuid": str(key.session), "wrapped": key.wrapped}
        if self._line != self._heading.sessions + 1:
            raise DamagedVault(f"the vault file has {self._line - 1} keys and should have {self._heading.sessions}")

    def damaged(self) -> DamagedVault:
        """The error for the line read last."""
        return DamagedVault(f"line {self._line} of the vault file is damaged")


def write_vault(database: Path, path: Path) -> int:
    """Writes all keys of a database, in place of an older vault file; how many. Raises StartError."""
    scratch = path.with_name(path.name + ".part")
    try:
        _check_replaceable(path)
        with (
            closing(sqlite3.connect(f"{database.absolute().as_uri()}?mode=rw", uri=True)) as connection,
            os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file,
        ):
            connection.execute("BEGIN")
            (count,) = connection.execute("SELECT COUNT(*) FROM session_keys").fetchone()
            noted = connection.execute("SELECT value FROM metadata WHERE name=?", [VAULT_FINGERPRINT]).fetchone()
            heading = Heading(vault_fingerprint=noted[0] if noted else None, sessions=count)
            file.write(_encoder.encode(heading) + b"\n")
            for session, wrapped in connection.execute(_KEYS):
                file.write(_encoder.encode(WrappedKey(UUID(session), wrapped)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        scratch.rename(path)
    except (sqlite3.Error, OSError) as error:
        raise StartError(f"the vault file cannot be written: {error}") from error
    finally:
        scratch.unlink(missing_ok=True)
    return int(count)


def _check_replaceable(path: Path) -> None:
    if not path.exists():
        return
    with path.open("rb") as file:
        try:
            _heading_decoder.decode(file.readline(LINE_LIMIT_BYTES))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StartError(f"there is a file already, and it is no vault file: {path}") from error
