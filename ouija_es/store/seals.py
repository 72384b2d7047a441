"""Seals: the ledger's link at a position, signed. docs/audit.md tells the bytes to third parties.

    message = "ouija.seal.v1|" position "|" link in hex "|" time, as it stands in the event

On SQLite a row's position is its ordinal in the chain.
"""

import base64
import binascii
from collections.abc import Container, Iterable
from datetime import datetime
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ouija_es.domain.events import Sealed

REACH_ROWS = 8_192
"""How far behind its own row a seal may speak: more than can be waiting for the writer when it is signed."""


def message(position: int, link: str, at: datetime) -> bytes:
    """What is signed; `link` in hex."""
    return f"ouija.seal.v1|{position}|{link}|{msgspec.to_builtins(at)}".encode()


class LedgerKey:
    """The Ed25519 key that signs; `public` is the other half, base64url."""

    def __init__(self, raw: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(raw)
        self.public = encoded(self._key.public_key().public_bytes_raw())

    def seal(self, position: int, link: bytes, at: datetime, instance: UUID) -> Sealed:
        """The seal of everything up to a position."""
        signature = self._key.sign(message(position, link.hex(), at))
        return Sealed(
            at=at,
            instance=instance,
            position=position,
            hash=link.hex(),
            signature=encoded(signature),
            public_key=self.public,
        )


class Links:
    """The links of the latest rows: those that the next seal may speak of.

    Begins behind the `ordinal`th row; `known`: the links of that row and of those before it, the newest last.
    """

    def __init__(self, ordinal: int = 0, known: Iterable[bytes] = ()) -> None:
        self._links = list(known)[-REACH_ROWS:]
        self._before = ordinal - len(self._links)

    def add(self, link: bytes) -> None:
        """The next row's."""
        self._links.append(link)
        if len(self._links) == 2 * REACH_ROWS:
            del self._links[:REACH_ROWS]
            self._before += REACH_ROWS

    def at(self, ordinal: int) -> bytes | None:
        """A row's; None if it is out of reach."""
        behind = len(self._links) - (ordinal - self._before)
        return self._links[-behind - 1] if 0 <= behind < min(REACH_ROWS, len(self._links)) else None


def flaw(sealed: Sealed, links: Links, trusted: Container[str] | None) -> str | None:
    """What is wrong with the seal in the row that comes next; `trusted`: whose public keys count, None: anybody's."""
    link = links.at(sealed.position)
    if link is None:
        return f"it speaks of position {sealed.position}, which is not among the {REACH_ROWS} before it"
    if link.hex() != sealed.hash:
        return f"up to position {sealed.position} the log is not the one that was sealed"
    if trusted is not None and sealed.public_key not in trusted:
        return f"it was signed by another key, {sealed.public_key[:64]}"
    if not _is_signed(sealed):
        return "its signature is not by the key it names"
    return None


def _is_signed(sealed: Sealed) -> bool:
    try:
        key = Ed25519PublicKey.from_public_bytes(_decoded(sealed.public_key))
        key.verify(_decoded(sealed.signature), message(sealed.position, sealed.hash, sealed.at))
    except (InvalidSignature, ValueError, binascii.Error):
        return False
    return True


def encoded(raw: bytes) -> str:
    """base64url without padding, as the settings take keys."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
