"""Key material: from the settings, or from key files beside the database, made when they are not there."""

import hashlib
import os
import secrets
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

from eventsourcing.persistence import PersistenceError
from pydantic import SecretStr

from ouija_es.config import KEY_BYTES, Settings, key_bytes
from ouija_es.errors import StartError
from ouija_es.store.seals import LedgerKey, encoded
from ouija_es.store.sqlite import open_recorder

VAULT_FINGERPRINT = "vault-fingerprint"
"""The name under which a database notes its vault key."""


@dataclass(frozen=True, slots=True)
class Key:
    """32 secret bytes and where they came from."""

    raw: bytes = field(repr=False)
    origin: str

    def fingerprint(self) -> str:
        """Tells one vault key from another and gives nothing of it away."""
        return hashlib.sha256(b"ouija.vault-fingerprint|" + self.raw).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Keyring:
    """The key that wraps session keys, and the one that signs the ledger."""

    vault: Key
    ledger: Key

    @property
    def vault_key(self) -> bytes:
        """AES-256 key of the vault."""
        return self.vault.raw

    def vault_fingerprint(self) -> str:
        """As `Key.fingerprint`, of the vault key."""
        return self.vault.fingerprint()

    def ledger_public_key(self) -> str:
        """The Ed25519 public key that belongs to the ledger key, base64url."""
        return LedgerKey(self.ledger.raw).public


def keyring(settings: Settings, *, make: bool = True) -> Keyring:
    """The keys in force; `make` makes key files that are not there. Raises StartError if there is no key to be had."""
    database = settings.database_path
    return Keyring(
        vault=vault_key(settings, make=make),
        ledger=_key("LEDGER_KEY", settings.ledger_key, database.with_name(database.name + ".ledger-key"), make=make),
    )


def vault_key(settings: Settings, *, make: bool = True) -> Key:
    """As `keyring`, only the key that wraps session keys."""
    database = settings.database_path
    return _key("VAULT_KEY", settings.vault_key, database.with_name(database.name + ".vault-key"), make=make)


def check_vault_key(database: Path, ring: Keyring) -> None:
    """Notes which vault key a database is written under; another one later could open nothing. Raises StartError."""
    try:
        recorder = open_recorder(database)
        try:
            with recorder.datastore.transaction(commit=True) as cursor:
                cursor.execute("SELECT value FROM metadata WHERE name=?", [VAULT_FINGERPRINT])
                row = cursor.fetchone()
                if row is None:  # else nothing is written, and a lock on the file is no hindrance
                    cursor.execute("INSERT INTO metadata VALUES (?,?)", [VAULT_FINGERPRINT, ring.vault_fingerprint()])
        finally:
            recorder.datastore.close()
    except (PersistenceError, sqlite3.Error) as error:
        raise StartError(f"the database cannot be used: {error}: {database}") from error
    noted = ring.vault_fingerprint() if row is None else row[0]
    if noted != ring.vault_fingerprint():
        raise StartError(
            f"the database was written under another vault key (fingerprint {noted}) than {ring.vault.origin} "
            f"(fingerprint {ring.vault_fingerprint()}): give it its key back, or start with a new database"
        )


def new_key() -> str:
    """A fresh key for VAULT_KEY or LEDGER_KEY."""
    return encoded(secrets.token_bytes(KEY_BYTES))


def _key(name: str, setting: SecretStr | None, path: Path, *, make: bool) -> Key:
    if setting is not None:
        return Key(key_bytes(setting), f"{name} in the environment")
    try:
        if make:
            path.parent.mkdir(parents=True, exist_ok=True)
            _make_once(path)
        return Key(key_bytes(SecretStr(path.read_text(encoding="ascii").strip())), str(path))
    except (OSError, ValueError) as error:
        raise StartError(f"the key file cannot be used: {path}: {error}") from error


def _make_once(path: Path) -> None:
    """Writes a new key under another name first, so that a key file is whole or not there, also after a crash."""
    if path.exists():
        return
    # Not the process's number: in a container that is the same again after a crash.
    scratch = path.with_name(f"{path.name}.{secrets.token_hex(8)}.new")
    fd = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write(new_key() + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(scratch, path)
        except FileExistsError:
            return  # another process was faster; its key counts
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        scratch.unlink()
