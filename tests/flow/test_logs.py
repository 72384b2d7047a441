"""What the service prints never tells what was asked, who asked, or a secret."""

import json
from pathlib import Path

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


def test_the_server_s_own_lines_have_the_same_form(tmp_path: Path) -> None:
    with RunningService(tmp_path, LOG_FORMAT="json") as service:
        service.stop()
        events = [json.loads(line)["event"] for line in service.log.splitlines()]

    assert any(event.startswith("Uvicorn running") for event in events)
    assert "stopped" in events
