"""A question in a session is asked with what was said before, also after a restart."""

from pathlib import Path
from typing import Any

from tests.service import RunningService, providers
from tests.stubs import StubProviders


def talk(stubs: StubProviders) -> list[str]:
    """What the last call's messages said, after the system message."""
    return [message["content"] for message in stubs.requests("groq")[-1]["body"]["messages"][1:]]


def test_a_session_works_in_the_very_next_request(service: RunningService, stubs: StubProviders) -> None:
    stubs.behave("groq", [{"behaviour": "ok", "text": "Pronto."}, {"behaviour": "ok", "text": "En mayo."}])
    first = service.ask("¿Me casaré?").raise_for_status().json()

    second = service.ask("¿y cuándo?", sessionId=first["sessionId"]).raise_for_status().json()

    assert second["sessionId"] == first["sessionId"]
    asked, answered, asked_again = talk(stubs)
    assert "¿Me casaré?" in asked
    assert answered == "Pronto."
    assert "¿y cuándo?" in asked_again


def test_only_the_last_three_exchanges_are_told(service: RunningService, stubs: StubProviders) -> None:
    session: dict[str, Any] = {}
    for number in range(5):
        body = service.ask(f"pregunta {number}", **session).raise_for_status().json()
        session = {"sessionId": body["sessionId"]}

    said = " ".join(talk(stubs))
    assert "pregunta 0" not in said
    assert all(f"pregunta {number}" in said for number in range(1, 5))


def test_the_talk_goes_on_after_a_restart(tmp_path: Path, stubs: StubProviders) -> None:
    stubs.behave("groq", "ok", text="Una puerta se abre.")
    variables = providers(stubs.groq_url, stubs.ollama_url)
    with RunningService(tmp_path, **variables) as service:
        first = service.ask("¿Encontraré trabajo?").raise_for_status().json()
        assert service.stop() == 0
    with RunningService(tmp_path, **variables) as service:
        service.ask("¿dónde?", sessionId=first["sessionId"]).raise_for_status()

    asked, answered, _ = talk(stubs)
    assert "¿Encontraré trabajo?" in asked
    assert answered == "Una puerta se abre."


def test_a_help_answer_is_never_told_to_a_model(service: RunningService, stubs: StubProviders) -> None:
    first = service.ask("quiero morirme").raise_for_status().json()

    service.ask("¿y mañana?", sessionId=first["sessionId"]).raise_for_status()

    assert len(talk(stubs)) == 1


def test_an_unknown_session_is_a_clear_404(service: RunningService) -> None:
    answer = service.ask("hola", sessionId="01890000-0000-7000-8000-000000000000")

    assert answer.status_code == 404
    assert answer.json()["type"].endswith("unknown-session")


def test_the_table_does_not_repeat_itself_within_a_session(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        body = service.ask("¿Encontraré el amor?").raise_for_status().json()
        for _ in range(10):
            previous = body
            body = service.ask("¿Encontraré el amor?", sessionId=body["sessionId"]).raise_for_status().json()
            assert body["response"] != previous["response"]
