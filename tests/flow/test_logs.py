"""What the service prints never tells what was asked, who asked, or a secret."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.service import API_KEY, AUDIT_TOKEN, RunningService, providers
from tests.stubs import StubProviders

QUESTION = "¿Volverá Leocadia Zurriaga?"
ANSWER = "Zascandil vuelve con la lluvia."


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_text_key_token_or_session_is_printed(tmp_path: Path, stubs: StubProviders, form: str) -> None:
    faults = [{"behaviour": "ok", "text": ANSWER}, "garbage", {"behaviour": "status", "code": 401}, "html"]
    stubs.behave("groq", faults)
    variables = providers(stubs.groq_url, stubs.ollama_url, LOG_LEVEL="debug", LOG_FORMAT=form)
    with RunningService(tmp_path, **variables) as service:
        bodies = [service.ask(QUESTION).raise_for_status().json() for _ in range(4)]
        session = bodies[0]["sessionId"]
        service.ask(QUESTION, sessionId=session).raise_for_status()
        service.ask(QUESTION, sessionId=session, personality=QUESTION)
        service.ask(QUESTION, sessionId=f"{session[:-1]}x")
        service.client.post("/ouija/ask", content=QUESTION.encode(), headers={"content-type": "application/json"})
        service.client.get(f"/audit/sessions/{session}", headers={"Authorization": f"Bearer {AUDIT_TOKEN}"})
        service.client.get(f"/audit/sessions/{session}", headers={"Authorization": "Bearer wr0ng-t0ken"})
        service.client.get(f"/nope/{session}?q={QUESTION}")
        vault_key = (tmp_path / "ouija.db.vault-key").read_text().strip()
        assert service.stop() == 0
        log = service.log

    for secret in ("Leocadia", "Zascandil", session, API_KEY, AUDIT_TOKEN, "wr0ng", vault_key):
        assert secret not in log
    assert bodies[0]["questionId"] in log
    assert log.count("answered") >= 5
    if form == "json":
        lines = [json.loads(line) for line in log.splitlines()]
        assert all(line.keys() >= {"event", "level", "timestamp"} for line in lines)
        answered = next(line for line in lines if line["event"] == "answered")
        assert answered["source"] == "groq"
        assert answered["attempts"][0].startswith("groq answered - ")


def test_a_question_nobody_waits_for_has_its_line(tmp_path: Path, stubs: StubProviders) -> None:
    stubs.behave("groq", "stall_after_delta")
    variables = providers(stubs.groq_url, stubs.ollama_url, LOG_FORMAT="json", GROQ_TIMEOUT_SECONDS="30")
    with RunningService(tmp_path, **variables, ANSWER_DEADLINE_SECONDS="60") as service:
        headers = {"accept": "text/event-stream"}
        with service.client.stream("POST", "/ouija/ask", json={"question": QUESTION}, headers=headers) as answer:
            next(line for line in answer.iter_lines() if line.startswith("event: delta"))
        while not (lines := lines_of(service, "withdrawn")):
            time.sleep(0.05)
    assert len(lines) == 1
    assert lines[0].keys() >= {"question_id", "trace_id", "duration_ms", "record_ms", "attempts"}


def test_a_question_that_cannot_be_recorded_has_its_line(tmp_path: Path, stubs: StubProviders) -> None:
    with RunningService(tmp_path, LOG_FORMAT="json") as service:
        (tmp_path / "ouija.db").rename(tmp_path / "elsewhere.db")
        assert service.ask(QUESTION).status_code == 503
        lines = lines_of(service, "not answered")
    assert [line["kind"] for line in lines] == ["not-recorded"]


def lines_of(service: RunningService, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in service.log.splitlines() if line.startswith("{") and line.endswith("}")]
    return [line for line in lines if line["event"] == event]


def test_the_server_s_own_lines_have_the_same_form(tmp_path: Path) -> None:
    with RunningService(tmp_path, LOG_FORMAT="json") as service:
        service.stop()
        events = [json.loads(line)["event"] for line in service.log.splitlines()]

    assert any(event.startswith("Uvicorn running") for event in events)
    assert "stopped" in events
