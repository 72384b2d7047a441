"""The hash chain over the log: each link binds a row to all rows before it.

    link(0) = SHA-256("ouija.ledger.v1")
    link(n) = SHA-256(link(n-1) | n | stream | version | length of topic | topic | state)

`n` counts rows from 1 in log order (the ordinal: database positions may have gaps); integers are 8 bytes, big-endian;
`stream` is the UUID's 16 bytes; `topic` and `state` are the stored bytes. docs/audit.md tells it to third parties.
"""

import hashlib
import struct
from typing import NamedTuple

GENESIS = hashlib.sha256(b"ouija.ledger.v1").digest()

_NUMBER = struct.Struct(">Q")
_NUMBERS = struct.Struct(">QQ")


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
    name = topic.encode()
    head = previous + _NUMBER.pack(ordinal) + bytes.fromhex(stream)
    return hashlib.sha256(head + _NUMBERS.pack(version, len(name)) + name + state).digest()


def link_of(previous: bytes, ordinal: int, row: LogRow) -> bytes:
    """As `link`: what the row's link must be."""
    return link(previous, ordinal, row.stream, row.version, row.topic, row.state)
