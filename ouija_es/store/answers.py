"""The table of canned answers. Blocking; used at start, before the writer runs."""

import hashlib
import json
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

from eventsourcing.persistence import PersistenceError

from ouija_es.domain.canned import CannedAnswer
from ouija_es.domain.vocabulary import Category, Language, Personality
from ouija_es.errors import StartError
from ouija_es.store.sqlite import EventRecorder, open_recorder

_DIGEST = "answers-digest"
LOCKED_SECONDS = 20.0
"""How long a start waits for another program to let go of the file: Litestream prepares it at the same moment."""
AGAIN_SECONDS = 0.25


def digest_of(answers: Sequence[CannedAnswer]) -> str:
    """Tells one set of answers from another: the first 16 hex digits of a SHA-256."""
    rows = [
        [answer.id, answer.personality, answer.language, answer.category, answer.text, sorted(answer.keywords)]
        for answer in sorted(answers, key=lambda answer: answer.id)
    ]
    return hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode()).hexdigest()[:16]


def seed(recorder: EventRecorder, answers: Sequence[CannedAnswer], *, force: bool = False) -> bool:
    """Makes the table hold exactly these answers, in one transaction; returns whether it had to be written."""
    digest = digest_of(answers)
    with recorder.datastore.transaction(commit=True) as cursor:
        cursor.execute("SELECT value FROM metadata WHERE name=?", [_DIGEST])
        row = cursor.fetchone()
        if row is not None and row[0] == digest and not force:
            return False
        cursor.execute("DELETE FROM canned_answers")
        cursor.executemany(
            "INSERT INTO canned_answers VALUES (?,?,?,?,?,?)",
            [
                (
                    answer.id,
                    answer.personality.value,
                    answer.language.value,
                    answer.category.value,
                    answer.text,
                    " ".join(sorted(answer.keywords)),
                )
                for answer in answers
            ],
        )
        cursor.execute("INSERT OR REPLACE INTO metadata VALUES (?,?)", [_DIGEST, digest])
    return True


def seed_database(
    path: Path, answers: Sequence[CannedAnswer], *, force: bool = False
) -> tuple[bool, list[CannedAnswer]]:
    """Seeds a database file: whether it had to be written, and the answers that are in it. Raises StartError."""
    give_up_at = time.monotonic() + LOCKED_SECONDS
    while True:
        try:
            recorder = open_recorder(path)
            try:
                return seed(recorder, answers, force=force), read_answers(recorder)
            finally:
                recorder.datastore.close()
        except (PersistenceError, sqlite3.Error) as error:
            if "locked" not in str(error) or time.monotonic() > give_up_at:
                raise StartError(f"the database cannot be used: {error}: {path}") from error
            time.sleep(AGAIN_SECONDS)


def read_answers(recorder: EventRecorder) -> list[CannedAnswer]:
    """All canned answers of the table."""
    with recorder.datastore.transaction(commit=False) as cursor:
        cursor.execute("SELECT id, personality, language, category, text, keywords FROM canned_answers ORDER BY id")
        return [
            CannedAnswer(
                row[0], Personality(row[1]), Language(row[2]), Category(row[3]), row[4], frozenset(row[5].split())
            )
            for row in cursor.fetchall()
        ]
