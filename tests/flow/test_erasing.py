"""An erased session takes no question, and nobody can open its texts any more."""

import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from ouija_es.domain.vocabulary import ErasedBy
from tests.bytes_in_files import bytes_found
from tests.flow.erasing import AUDITOR, ERASURE_TOKEN, OPERATOR, erased, erasures, wrapped_key
from tests.service import ROOT, RunningService, environment


def test_an_erased_session_is_gone_from_every_file_and_takes_no_question(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        others = [service.ask("¿Y los otros?").json()["sessionId"] for _ in range(40)]
        asked = service.ask("¿Encontraré el amor?").json()
        session_id = asked["sessionId"]
        others += [service.ask("¿Y los otros?").json()["sessionId"] for _ in range(40)]
        key = wrapped_key(service.database, session_id)
        assert bytes_found(tmp_path, key)
        erased(service, f"/ouija/sessions/{session_id}")
        assert bytes_found(tmp_path, key) == []
        assert service.ask("¿Sigues ahí?", sessionId=session_id).status_code == 404
        assert service.ask("¿Sigues ahí?", sessionId=others[0]).status_code == 200
        history = service.client.get(f"/audit/sessions/{session_id}", headers=AUDITOR).json()
        assert [question["erased"] for question in history["questions"]] == [True]
        erased(service, f"/ouija/sessions/{session_id}")
        assert "ouija_erasures_total 1.0" in service.client.get("/metrics").text
        service.kill()
    with RunningService(tmp_path) as service:
        assert service.ask("¿Sigues ahí?", sessionId=session_id).status_code == 404
        assert bytes_found(tmp_path, key) == []
        assert wrapped_key(service.database, others[0])


def test_an_idempotency_key_of_an_erased_session_answers_410(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        body, headers = {"question": "¿Qué será de mí?"}, {"Idempotency-Key": "a-key-long-enough-for-this"}
        session_id = service.client.post("/ouija/ask", json=body, headers=headers).json()["sessionId"]
        erased(service, f"/ouija/sessions/{session_id}")
        assert service.client.post("/ouija/ask", json=body, headers=headers).status_code == 410


def test_an_operator_erases_with_the_erasure_token_alone(tmp_path: Path) -> None:
    with RunningService(tmp_path, ERASURE_TOKEN=ERASURE_TOKEN) as service:
        session_id = service.ask("¿Quién soy?").json()["sessionId"]
        path = f"/audit/sessions/{session_id}"
        assert service.client.delete(path).status_code == 401
        assert service.client.delete(path, headers=AUDITOR).status_code == 401
        assert wrapped_key(service.database, session_id)
        erased(service, path, OPERATOR)
        assert erasures(service.database, session_id) == [ErasedBy.OPERATOR]


@pytest.mark.parametrize(
    ("session_id", "problem"), [(str(uuid4()), "unknown-session"), ("not-an-id", "not-found"), ("", "not-found")]
)
def test_what_is_no_session_is_not_found(service: RunningService, session_id: str, problem: str) -> None:
    refused = service.client.delete(f"/ouija/sessions/{session_id}")
    assert refused.status_code == 404
    assert refused.json()["type"] == f"urn:ouija-es:problem:{problem}"


def test_many_erasures_of_one_session_at_once_are_one(tmp_path: Path) -> None:
    with RunningService(tmp_path, ERASURE_TOKEN=ERASURE_TOKEN) as service:
        session_id = service.ask("¿Quién soy?").json()["sessionId"]
        paths = [(f"/ouija/sessions/{session_id}", {}), (f"/audit/sessions/{session_id}", OPERATOR)] * 4
        with ThreadPoolExecutor(len(paths)) as pool:
            list(pool.map(lambda it: erased(service, *it), paths))
        assert len(erasures(service.database, session_id)) == 1
        assert "ouija_erasures_total 1.0" in service.client.get("/metrics").text


def test_while_somebody_reads_an_older_state_it_is_202_and_204_once_they_have_gone(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        path = f"/ouija/sessions/{service.ask('¿Quién soy?').json()['sessionId']}"
        with closing(sqlite3.connect(service.database)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT COUNT(*) FROM stored_events").fetchone()
            assert service.client.delete(path).status_code == 202
            assert service.client.delete(path).status_code == 202
        erased(service, path)


def test_what_was_erased_just_before_a_kill_is_flushed_out_after_the_restart_unasked(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        session_id = service.ask("¿Quién soy?").json()["sessionId"]
        key = wrapped_key(service.database, session_id)
        with closing(sqlite3.connect(service.database)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT COUNT(*) FROM stored_events").fetchone()
            assert service.client.delete(f"/ouija/sessions/{session_id}").status_code == 202
            service.kill()
            assert bytes_found(tmp_path, key)
    with RunningService(tmp_path) as service:
        while bytes_found(tmp_path, key):
            time.sleep(0.05)
        assert service.ask("¿Sigues ahí?", sessionId=session_id).status_code == 404
        assert erasures(service.database, session_id) == [ErasedBy.HOLDER]


def test_without_its_file_it_is_503_and_done_once_the_file_is_back(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        session_id = service.ask("¿Quién soy?").json()["sessionId"]
        service.client.get(f"/audit/sessions/{session_id}", headers=AUDITOR).raise_for_status()
        key = wrapped_key(service.database, session_id)
        service.database.rename(tmp_path / "elsewhere.db")
        refused = service.client.delete(f"/ouija/sessions/{session_id}")
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0
        (tmp_path / "elsewhere.db").rename(service.database)
        while service.client.delete(f"/ouija/sessions/{session_id}").status_code == 503:
            time.sleep(0.2)
        erased(service, f"/ouija/sessions/{session_id}")
        assert bytes_found(tmp_path, key) == []
        assert erasures(service.database, session_id) == [ErasedBy.HOLDER]


def test_a_backup_that_is_made_meanwhile_holds_a_session_whole_or_erased(tmp_path: Path) -> None:
    with RunningService(tmp_path / "data") as service:
        sessions = [service.ask("¿Quién soy?").json()["sessionId"] for _ in range(60)]
        copy = tmp_path / "copy.db"
        command = [sys.executable, "-m", "ouija_es", "backup", str(copy)]
        backup = subprocess.Popen(command, cwd=ROOT, env=environment(tmp_path / "data"), stdout=subprocess.DEVNULL)
        for session_id in sessions:
            erased(service, f"/ouija/sessions/{session_id}")
        assert backup.wait(30) == 0
        key_file = service.database.with_name("ouija.db.vault-key")
        copy.with_name("copy.db.vault-key").write_bytes(key_file.read_bytes())
        for session_id in sessions:
            assert erasures(service.database, session_id) == [ErasedBy.HOLDER]
            assert erasures(copy, session_id) in ([], [ErasedBy.HOLDER])


def texts_bytes(database: Path, question_id: str) -> list[int]:
    """The lengths of a question's sealed texts: of the question, then of the answer."""
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute(
            "SELECT length(json_extract(CAST(state AS TEXT), '$.texts')) FROM stored_events "
            "WHERE originator_id=? AND topic IN ('ouija.Asked.v1', 'ouija.Answered.v1') ORDER BY position",
            [question_id.replace("-", "")],
        )
        return [row[0] for row in found]


def test_short_questions_are_sealed_to_one_length(service: RunningService) -> None:
    questions = ["¿", "¿Sí?", "¿Me quiere?", "¿Volveré a verla?"]
    ids = [service.ask(question).json()["questionId"] for question in questions]
    assert len({texts_bytes(service.database, it)[0] for it in ids}) == 1
    longer = service.ask("¿Encontraré el amor? " * 20).json()["questionId"]
    assert texts_bytes(service.database, longer)[0] > texts_bytes(service.database, ids[0])[0]
