"""An erased session: nobody can open its texts any more, and no file holds its key."""

import sqlite3
from contextlib import closing
from pathlib import Path
from uuid import UUID

from tests.service import AUDIT_TOKEN, RunningService

ERASURE_TOKEN = "erasure-token-of-the-tests"
AUDITOR = {"Authorization": f"Bearer {AUDIT_TOKEN}"}
OPERATOR = {"Authorization": f"Bearer {ERASURE_TOKEN}"}


def wrapped_key(database: Path, session_id: str) -> bytes:
    """The session's key as it lies in the database; empty if it does not."""
    with closing(sqlite3.connect(database)) as connection:
        row = connection.execute(
            "SELECT wrapped FROM session_keys WHERE session_id=?", [UUID(session_id).hex]
        ).fetchone()
    return b"" if row is None else bytes(row[0])


def erased(service: RunningService, path: str, headers: dict[str, str] | None = None) -> None:
    """Erases, again and again until nothing is left to be flushed."""
    for _ in range(100):
        status = service.client.delete(path, headers=headers).status_code
        assert status in {202, 204}
        if status == 204:
            return
    raise AssertionError("never flushed")


def files_with(folder: Path, needle: bytes) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and needle in path.read_bytes()]


def test_an_erased_session_is_gone_from_every_file_and_takes_no_question(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        others = [service.ask("¿Y los otros?").json()["sessionId"] for _ in range(40)]
        asked = service.ask("¿Encontraré el amor?").json()
        session_id = asked["sessionId"]
        others += [service.ask("¿Y los otros?").json()["sessionId"] for _ in range(40)]
        key = wrapped_key(service.database, session_id)
        assert key
        assert files_with(tmp_path, key)
        erased(service, f"/ouija/sessions/{session_id}")
        assert files_with(tmp_path, key) == []
        assert service.ask("¿Sigues ahí?", sessionId=session_id).status_code == 404
        assert service.ask("¿Sigues ahí?", sessionId=others[0]).status_code == 200
        history = service.client.get(f"/audit/sessions/{session_id}", headers=AUDITOR).json()
        assert [question["erased"] for question in history["questions"]] == [True]
        erased(service, f"/ouija/sessions/{session_id}")
        assert "ouija_erasures_total 1.0" in service.client.get("/metrics").text
        service.kill()
    with RunningService(tmp_path) as service:
        assert service.ask("¿Sigues ahí?", sessionId=session_id).status_code == 404
        assert files_with(tmp_path, key) == []
        assert wrapped_key(service.database, others[0])


def test_an_idempotency_key_of_an_erased_session_answers_410(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        body, headers = {"question": "¿Qué será de mí?"}, {"Idempotency-Key": "a-key-long-enough-for-this"}
        session_id = service.client.post("/ouija/ask", json=body, headers=headers).json()["sessionId"]
        erased(service, f"/ouija/sessions/{session_id}")
        assert service.client.post("/ouija/ask", json=body, headers=headers).status_code == 410


def test_an_operator_erases_with_the_erasure_token_alone(tmp_path: Path) -> None:
    with RunningService(tmp_path, ERASURE_TOKEN=ERASURE_TOKEN) as service:
        path = f"/audit/sessions/{service.ask('¿Quién soy?').json()['sessionId']}"
        assert service.client.delete(path).status_code == 401
        assert service.client.delete(path, headers=AUDITOR).status_code == 401
        erased(service, path, OPERATOR)
        unknown = "/audit/sessions/01a20c44-aad3-7919-a055-5fe584835337"
        assert service.client.delete(unknown, headers=OPERATOR).status_code == 404


def test_while_somebody_reads_an_older_state_it_is_202_and_204_once_they_have_gone(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        path = f"/ouija/sessions/{service.ask('¿Quién soy?').json()['sessionId']}"
        with closing(sqlite3.connect(service.database)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT COUNT(*) FROM stored_events").fetchone()
            assert service.client.delete(path).status_code == 202
            assert service.client.delete(path).status_code == 202
        erased(service, path)
