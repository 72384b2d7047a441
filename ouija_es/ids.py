"""Identifiers: UUIDv7 (RFC 9562 §5.7), time-ordered so that a big log's index stays flat."""

import os
import time
from uuid import UUID

import msgspec

_VERSION_7 = 0x7 << 76
_VARIANT = 0b10 << 62
_RANDOM_12 = 0xFFF << 64
_RANDOM_62 = (1 << 62) - 1


def uuid7() -> UUID:
    """A new id: 48 bits of Unix milliseconds and 74 random bits of the operating system.

    A session's id is its holder's secret. The usual generators count up within a millisecond and leave 32 bits to
    guess; here every bit but the time is fresh.
    """
    random = int.from_bytes(os.urandom(10))
    number = time.time_ns() // 1_000_000 << 80 | _VERSION_7 | random & _RANDOM_12 | _VARIANT | random & _RANDOM_62
    return msgspec.convert(number.to_bytes(16), UUID)  # twice as fast as the class itself


def first_of(milliseconds: int) -> UUID:
    """What no id that is made at this time (Unix milliseconds) or later sorts before."""
    return UUID(int=milliseconds << 80)
