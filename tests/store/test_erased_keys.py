"""A key that is deleted from the table of session keys is nowhere in the file, whatever was written around it.

SQLite moves rows between pages as a table grows and shrinks; `secure_delete` must leave no copy behind where they were.
"""

import asyncio
import random
import secrets
import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest

from ouija_es.ids import uuid7
from ouija_es.store.recorder import GroupCommit
from tests.store.rows import new_rows

PIECE = 12
"""Bytes of a key whose presence gives it away: even a part must not be left."""


@pytest.mark.parametrize("steps", [40, pytest.param(400, marks=[pytest.mark.deep, pytest.mark.timeout(600)])])
async def test_no_piece_of_a_destroyed_key_is_left_behind(tmp_path: Path, steps: int) -> None:
    seed = random.SystemRandom().randrange(2**32)
    chance = random.Random(seed)
    path = tmp_path / "ouija.db"
    recorder = GroupCommit(path)
    recorder.start()
    kept: dict[UUID, bytes] = {}
    gone: list[bytes] = []
    for _ in range(steps):
        fresh = {uuid7(): secrets.token_bytes(61) for _ in range(chance.choice([1, 2, 5, 20, 60]))}
        kept |= fresh
        await asyncio.gather(*(recorder.append(new_rows(), seconds=60, session_key=it) for it in fresh.items()))
        known = sorted(kept)
        first, count = chance.randrange(len(known)), chance.choice([0, 1, 2, 10, 60])
        due = known[first : first + count] if chance.random() < 0.5 else chance.sample(known, min(count, len(known)))
        await asyncio.gather(*(recorder.append(new_rows(), seconds=60, destroyed_key=it) for it in due))
        gone += [kept.pop(it) for it in due]
    assert await recorder.truncate()
    content = path.read_bytes()
    await recorder.close()

    pieces = {key[at : at + PIECE] for key in gone for at in (0, 13, 25, 37, 49)}
    assert [piece.hex() for piece in pieces if piece in content] == [], f"seed {seed}"
    assert all(wrapped in content for wrapped in kept.values())
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
