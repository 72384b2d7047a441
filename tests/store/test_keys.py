"""Key files: made once, whole, for their owner only; the environment goes before them."""

import base64
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import SecretStr

from ouija_es.config import Settings
from ouija_es.errors import StartError
from ouija_es.store.keys import encoded, keyring, new_key


def settings(folder: Path, **more: Any) -> Settings:
    return Settings(database_url=f"file:{folder / 'data' / 'ouija.db'}", **more)


def test_key_files_are_made_beside_the_database_for_the_owner_only(tmp_path: Path) -> None:
    ring = keyring(settings(tmp_path))
    files = {path.name: path for path in (tmp_path / "data").iterdir()}
    assert files.keys() == {"ouija.db.vault-key", "ouija.db.ledger-key"}
    assert {path.stat().st_mode & 0o777 for path in files.values()} == {0o600}
    assert files["ouija.db.vault-key"].read_text() == encoded(ring.vault_key) + "\n"
    assert ring.vault_key != ring.ledger.raw
    assert len(ring.vault_key) == len(ring.ledger.raw) == 32


def test_they_are_made_once(tmp_path: Path) -> None:
    assert keyring(settings(tmp_path)) == keyring(settings(tmp_path))
    assert keyring(settings(tmp_path)) != keyring(settings(tmp_path / "elsewhere"))


def test_processes_that_start_together_agree_on_the_keys(tmp_path: Path) -> None:
    code = "from ouija_es.config import Settings; from ouija_es.store.keys import keyring; "
    code += "print(keyring(Settings()).vault_fingerprint())"
    environment = {**os.environ, "DATABASE_URL": f"file:{tmp_path / 'data' / 'ouija.db'}"}
    started = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    printed = {process.communicate(timeout=60)[0] for process in started}
    assert printed == {keyring(settings(tmp_path)).vault_fingerprint() + "\n"}
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"ouija.db.vault-key", "ouija.db.ledger-key"}


def test_what_a_crash_left_behind_does_not_stop_the_next_start(tmp_path: Path) -> None:
    # A process killed while it made the key, and the next one has the same number, as in a container.
    (tmp_path / "data").mkdir()
    left = tmp_path / "data" / f"ouija.db.vault-key.{os.getpid()}.new"
    left.write_text("half a k")
    assert len(keyring(settings(tmp_path)).vault_key) == 32


def test_a_key_in_the_environment_needs_no_file(tmp_path: Path) -> None:
    vault, ledger = new_key(), new_key()
    ring = keyring(settings(tmp_path, vault_key=SecretStr(vault), ledger_key=SecretStr(ledger)))
    assert encoded(ring.vault_key) == vault
    assert encoded(ring.ledger.raw) == ledger
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("content", ["", "no key\n", "A" * 42 + "\n", "\xff\n"])
def test_a_spoilt_key_file_stops_the_start_and_is_left_alone(tmp_path: Path, content: str) -> None:
    keyring(settings(tmp_path))
    path = tmp_path / "data" / "ouija.db.vault-key"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(StartError, match=r"vault-key"):
        keyring(settings(tmp_path))
    assert path.read_text(encoding="latin-1") == content


def test_a_folder_that_cannot_be_made_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StartError, match=r"vault-key"):
        keyring(settings(tmp_path))


def test_neither_a_key_nor_the_ring_prints_its_secret(tmp_path: Path) -> None:
    ring = keyring(settings(tmp_path))
    for shown in (repr(ring), repr(ring.vault), ring.vault_fingerprint(), ring.ledger_public_key()):
        assert encoded(ring.vault_key) not in shown
        assert encoded(ring.ledger.raw) not in shown
        assert repr(ring.vault_key) not in shown


def test_the_public_key_checks_what_the_ledger_key_signs(tmp_path: Path) -> None:
    ring = keyring(settings(tmp_path))
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(ring.ledger_public_key() + "="))
    public.verify(Ed25519PrivateKey.from_private_bytes(ring.ledger.raw).sign(b"head"), b"head")


def test_fingerprints_tell_keys_apart(tmp_path: Path) -> None:
    rings = [keyring(settings(tmp_path / str(number))) for number in range(5)]
    assert len({ring.vault_fingerprint() for ring in rings}) == 5
