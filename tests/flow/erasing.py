"""Erases over HTTP, and reads what a database file says of it."""

import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import UUID

from ouija_es.domain.events import Erased
from ouija_es.domain.vocabulary import ErasedBy
from tests.service import AUDIT_TOKEN, RunningService
from tests.store.history import open_log, vault_of

ERASURE_TOKEN = "erasure-token-of-the-tests"
AUDITOR = {"Authorization": f"Bearer {AUDIT_TOKEN}"}
OPERATOR = {"Authorization": f"Bearer {ERASURE_TOKEN}"}


def erased(service: RunningService, path: str, headers: dict[str, str] | None = None) -> None:
    """DELETEs, again and again until nothing is left to be flushed."""
    for _ in range(200):
        status = service.client.delete(path, headers=headers).status_code
        assert status in {202, 204}
        if status == 204:
            return
    raise AssertionError("never flushed")


def wrapped_key(database: Path, session_id: str) -> bytes:
    """The session's key as it lies in the database; empty if it does not."""
    with closing(sqlite3.connect(database)) as connection:
        row = connection.execute(
            "SELECT wrapped FROM session_keys WHERE session_id=?", [UUID(session_id).hex]
        ).fetchone()
    return b"" if row is None else bytes(row[0])


def plain_key(database: Path, session_id: str) -> bytes:
    """The session's key itself, as only the vault's key opens it."""
    return vault_of(database).unwrap(UUID(session_id), wrapped_key(database, session_id))._raw


def erasures(database: Path, session_id: str) -> list[ErasedBy]:
    """Who erased the session, as the log has it: one or none. Asserts that the key is there exactly if nobody did."""
    with closing(open_log(database)) as log:
        found = [it.event.by for it in log.stream(UUID(session_id)) if isinstance(it.event, Erased)]
        assert log.has_key(UUID(session_id)) == (not found)
    assert len(found) <= 1
    return found
