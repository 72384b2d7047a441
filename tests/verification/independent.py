"""A verifier that knows nothing but docs/audit.md: `python independent.py DATABASE [PUBLIC_KEY]`."""

import base64
import hashlib
import json
import sqlite3
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def number(value):
    return value.to_bytes(8, "big")


def raw(text):
    return base64.urlsafe_b64decode(text + "==")


def check(database, public_key=None):  # noqa: PLR0911
    """The number of rows and the last link in hex; or the first position that is wrong, and what is."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    connection.text_factory = bytes
    link, links = hashlib.sha256(b"ouija.ledger.v1").digest(), {}
    query = (
        "SELECT position, originator_id, originator_version, topic, state, link FROM stored_events ORDER BY position"
    )
    for n, (position, stream, version, topic, state, own) in enumerate(connection.execute(query), 1):
        if position != n:
            return n, "position"
        try:
            uuid = bytes.fromhex(stream.decode())
            if uuid.hex().encode() != stream:
                return n, "stream"
            preimage = link + number(n) + uuid + number(version) + number(len(topic)) + topic + state
        except (ValueError, OverflowError, TypeError):
            return n, "form"
        link = hashlib.sha256(preimage).digest()
        if link != own:
            return n, "link"
        if topic == b"ouija.Sealed.v1":
            seal = json.loads(state)
            if links.get(seal["position"]) != seal["hash"]:
                return n, "seal"
            if public_key is not None and seal["publicKey"] != public_key:
                return n, "key"
            message = f"ouija.seal.v1|{seal['position']}|{seal['hash']}|{seal['at']}".encode()
            try:
                Ed25519PublicKey.from_public_bytes(raw(seal["publicKey"])).verify(raw(seal["signature"]), message)
            except InvalidSignature:
                return n, "signature"
        links[n] = link.hex()
        links.pop(n - 8192, None)
    return len(links) and n, link.hex()


if __name__ == "__main__":
    print(*check(*sys.argv[1:]))  # noqa: T201
