"""Session keys: every session's texts are sealed under a key of its own, and destroying that key erases them.

Sealed bytes: `0x01 | nonce (12) | AES-256-GCM ciphertext and tag`. The plaintext is JSON, padded with spaces to a
multiple of 64 bytes so that its length tells little. A session's key is itself sealed in the same form under the vault
key, with `ouija.session-key|<session>` as associated data, and kept in the table `session_keys`.
"""

import hmac
import os
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ouija_es.errors import OuijaError

FORMAT = b"\x01"
NONCE_BYTES = 12
KEY_BYTES = 32
PADDED_TO_BYTES = 64


class SealBroken(OuijaError):
    """Sealed bytes cannot be opened: they were changed, moved, or sealed under another key."""


class SealingKey:
    """One AES-256-GCM key. Random 96-bit nonces are safe for 2³² seals (NIST SP 800-38D), more than a session holds."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._cipher = AESGCM(raw)

    def seal(self, plaintext: bytes, associated: bytes) -> bytes:
        """The sealed bytes; they open only with the same `associated` bytes."""
        nonce = os.urandom(NONCE_BYTES)
        return FORMAT + nonce + self._cipher.encrypt(nonce, plaintext, associated)

    def open(self, sealed: bytes, associated: bytes) -> bytes:
        """The plaintext. Raises SealBroken."""
        if sealed[:1] != FORMAT:
            raise SealBroken("unknown format of sealed bytes")
        try:
            return self._cipher.decrypt(sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :], associated)
        except (InvalidTag, ValueError) as error:
            raise SealBroken("the sealed bytes do not open under this key") from error

    def keyed_hash(self, purpose: str, text: str) -> str:
        """An HMAC-SHA256 of a text, hex: tells equal from different to who has the key, and nothing to anybody else."""
        subkey = hmac.digest(self._raw, b"ouija." + purpose.encode(), "sha256")
        return hmac.digest(subkey, text.encode(), "sha256").hex()


def padded(plaintext: bytes) -> bytes:
    """Fills up JSON with spaces, which JSON ignores."""
    return plaintext.ljust(-(-len(plaintext) // PADDED_TO_BYTES) * PADDED_TO_BYTES)


class Vault:
    """Makes, wraps and unwraps session keys."""

    def __init__(self, vault_key: bytes) -> None:
        self._key = SealingKey(vault_key)

    def new_key(self, session_id: UUID) -> tuple[SealingKey, bytes]:
        """A fresh key, and the wrapped form to be stored with the session's first event."""
        raw = os.urandom(KEY_BYTES)
        return SealingKey(raw), self._key.seal(raw, _associated(session_id))

    def unwrap(self, session_id: UUID, wrapped: bytes) -> SealingKey:
        """The key of a stored session. Raises SealBroken if the vault key is not the one it was wrapped under."""
        return SealingKey(self._key.open(wrapped, _associated(session_id)))

    def keyed_hash(self, purpose: str, text: str) -> str:
        """As `SealingKey.keyed_hash`, under the vault key."""
        return self._key.keyed_hash(purpose, text)


def _associated(session_id: UUID) -> bytes:
    return b"ouija.session-key|" + session_id.hex.encode()
