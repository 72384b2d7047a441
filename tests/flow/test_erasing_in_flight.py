"""A session is erased while a question is asked in it: the question ends as usual, and nothing of it can be read."""

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest

from ouija_es.domain.events import Answered, AnsweredTexts, Asked, AskedTexts, Withdrawn
from ouija_es.store.vault import SealingKey
from tests.bytes_in_files import bytes_found
from tests.flow.erasing import erased, erasures, plain_key, wrapped_key
from tests.flow.events import events, opened
from tests.service import RunningService, providers
from tests.store.history import open_log
from tests.stubs import StubProviders

KEY = {"Idempotency-Key": "a-key-long-enough-for-this"}
SLOW = {"behaviour": "ok", "text": "Tarde, pero llego.", "latency_ms": 1500}


@pytest.fixture
def patient(tmp_path: Path, stubs: StubProviders) -> Iterator[RunningService]:
    """A service that waits long for its providers."""
    variables = providers(stubs.groq_url, stubs.ollama_url, GROQ_TIMEOUT_SECONDS="20", ANSWER_DEADLINE_SECONDS="40")
    with RunningService(tmp_path, **variables) as running:
        yield running


def before_groq(stubs: StubProviders) -> None:
    while not stubs.state()["groq"]["in_flight"]:
        time.sleep(0.01)


def assert_sealed_for_good(database: Path, question_id: str, key: bytes) -> None:
    """The texts do not open, and would for whoever had kept the destroyed key: so they are sealed under that one."""
    with closing(open_log(database)) as log:
        first, *_, last = (it.event for it in log.question(UUID(question_id)))
        assert isinstance(first, Asked)
        assert isinstance(last, Answered)
        assert isinstance(first.texts, bytes)
        assert isinstance(last.texts, bytes)
        first, *_, last = (it.event for it in log.history(UUID(question_id), SealingKey(key)))
    assert isinstance(first, Asked)
    assert isinstance(last, Answered)
    assert isinstance(first.texts, AskedTexts)
    assert isinstance(last.texts, AnsweredTexts)


def test_a_question_in_flight_is_answered_and_sealed_under_the_destroyed_key(
    patient: RunningService, stubs: StubProviders
) -> None:
    session_id = patient.ask("¿Quién era Leocadia?").json()["sessionId"]
    wrapped, key = wrapped_key(patient.database, session_id), plain_key(patient.database, session_id)
    stubs.behave("groq", [SLOW])
    content = {"question": "¿Y Zurriaga?", "sessionId": session_id}
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(patient.client.post, "/ouija/ask", json=content, headers=KEY)
        before_groq(stubs)
        erased(patient, f"/ouija/sessions/{session_id}")
        assert not asking.done()
        assert bytes_found(patient.folder, wrapped) == []
        assert patient.client.post("/ouija/ask", json=content, headers=KEY).status_code == 410
        answer = asking.result().raise_for_status().json()

    assert answer["response"] == "Tarde, pero llego."
    assert erasures(patient.database, session_id)
    assert_sealed_for_good(patient.database, answer["questionId"], key)
    assert bytes_found(patient.folder, wrapped, key) == []
    assert patient.client.post("/ouija/ask", json=content, headers=KEY).status_code == 410
    assert patient.ask("¿Sigues ahí?", sessionId=session_id).status_code == 404


def test_a_stream_in_flight_goes_on_to_its_answer(patient: RunningService, stubs: StubProviders) -> None:
    session_id = patient.ask("¿Quién era Leocadia?").json()["sessionId"]
    key = plain_key(patient.database, session_id)
    stubs.behave("groq", [SLOW])
    with opened(patient, "¿Y Zurriaga?", sessionId=session_id) as response:
        before_groq(stubs)
        erased(patient, f"/ouija/sessions/{session_id}")
        *_, (name, answer) = events(response)

    assert name == "answer"
    assert answer["response"] == "Tarde, pero llego."
    assert_sealed_for_good(patient.database, answer["questionId"], key)
    assert patient.ask("¿Sigues ahí?", sessionId=session_id).status_code == 404


def test_a_stream_whose_client_goes_away_after_the_erasure_ends_as_withdrawn(
    patient: RunningService, stubs: StubProviders
) -> None:
    session_id = patient.ask("¿Quién era Leocadia?").json()["sessionId"]
    stubs.behave("groq", ["stall_after_delta"])
    with opened(patient, "¿Y Zurriaga?", sessionId=session_id) as response:
        next(line for line in response.iter_lines() if line.startswith("event: delta"))
        erased(patient, f"/ouija/sessions/{session_id}")
    with closing(open_log(patient.database)) as log:
        question_id = log.questions_of(UUID(session_id))[-1]
        while not isinstance(log.stream(question_id)[-1].event, Withdrawn):
            time.sleep(0.05)
        first = log.question(question_id)[0].event
        assert isinstance(first, Asked)
        assert isinstance(first.texts, bytes)
    assert erasures(patient.database, session_id)


def test_a_session_may_be_erased_under_its_very_first_question(patient: RunningService, stubs: StubProviders) -> None:
    stubs.behave("groq", [SLOW])
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(patient.ask, "¿Quién era Leocadia?")
        before_groq(stubs)
        with closing(sqlite3.connect(patient.database)) as connection:
            (session,) = connection.execute("SELECT session_id FROM session_keys").fetchone()
        session_id = str(UUID(session))
        key = plain_key(patient.database, session_id)
        erased(patient, f"/ouija/sessions/{session_id}")
        answer = asking.result().raise_for_status().json()
    assert answer["sessionId"] == session_id
    assert erasures(patient.database, session_id)
    assert_sealed_for_good(patient.database, answer["questionId"], key)
    assert patient.ask("¿Sigues ahí?", sessionId=session_id).status_code == 404


def test_no_model_is_told_what_was_erased(patient: RunningService, stubs: StubProviders) -> None:
    session_id = patient.ask("¿Quién era Leocadia?").json()["sessionId"]
    assert patient.ask("¿Y Zurriaga?", sessionId=session_id).status_code == 200
    assert "Leocadia" in str(stubs.requests("groq")[-1]["body"])
    erased(patient, f"/ouija/sessions/{session_id}")
    stubs.reset()
    assert patient.ask("¿Y Zurriaga?", sessionId=session_id).status_code == 404
    assert patient.ask("¿Y Zurriaga?").status_code == 200
    assert "Leocadia" not in str(stubs.requests("groq"))
