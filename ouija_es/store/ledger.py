"""The hash chain over the log: each link binds a row to all rows before it.

    link(0) = SHA-256("ouija.ledger.v1")
    link(n) = SHA-256(link(n-1) | n | stream | version | length of topic | topic | state)

`n` counts rows from 1 in log order (the ordinal: database positions may have gaps); integers are 8 bytes, big-endian;
`stream` is the UUID's 16 bytes; `topic` and `state` are the stored bytes. docs/audit.md tells it to third parties.
"""

import hashlib
import struct
from functools import lru_cache
from typing import NamedTuple

GENESIS = hashlib.sha256(b"ouija.ledger.v1").digest()

_number = struct.Struct(">Q").pack


class LogRow(NamedTuple):
    """A row of the log as it is stored; `stream` in hex, `state` the event's JSON, `link` as the row itself claims."""

    position: int
    stream: str
    version: int
    topic: str
    state: bytes
    link: bytes


def link(previous: bytes, ordinal: int, stream: str, version: int, topic: str, state: bytes) -> bytes:
    """The link of the `ordinal`th row, 32 bytes, from the link before it; `stream` in hex."""
    parts = (previous, _number(ordinal), bytes.fromhex(stream), _number(version), _counted(topic), state)
    return hashlib.sha256(b"".join(parts)).digest()


def link_of(previous: bytes, ordinal: int, row: LogRow) -> bytes:
    """As `link`: what the row's link must be."""
    _, stream, version, topic, state, _ = row
    return link(previous, ordinal, stream, version, topic, state)


@lru_cache(maxsize=64)
def _counted(topic: str) -> bytes:
    name = topic.encode()
    return _number(len(name)) + name
