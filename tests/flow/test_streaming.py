"""A streamed answer: what was said so far, what became of it, and the recorded answer last."""

import socket
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.flow.conftest import history
from tests.flow.events import events, opened, stream
from tests.service import RunningService, providers
from tests.stubs import StubProviders


def names(seen: list[tuple[str, dict[str, Any]]]) -> list[str]:
    return [name for name, _ in seen]


def text(seen: list[tuple[str, dict[str, Any]]]) -> str:
    """What a client shows at the end: deltas, forgotten at a discard."""
    shown = ""
    for name, data in seen:
        shown = "" if name == "discard" else shown + data["text"] if name == "delta" else shown
    return shown


@pytest.mark.parametrize("provider", ["groq", "ollama"])
def test_the_pieces_come_as_they_are_said(service: RunningService, stubs: StubProviders, provider: str) -> None:
    if provider == "ollama":
        stubs.behave("groq", "status", code=400)
    stubs.behave(provider, "ok", text="La luna lo sabe y calla.", tokens=7, prompt_tokens=70, delta_ms=5)

    seen = stream(service, "¿me quiere?")

    answer = seen[-1][1]
    assert names(seen)[-2:] == ["attempt", "answer"]
    assert names(seen).count("delta") > 1
    assert text(seen) == answer["response"] == "La luna lo sabe y calla."
    assert answer["source"] == provider
    assert [data for name, data in seen if name == "attempt"] == answer["attempts"]
    recorded = history(service, answer["questionId"])
    assert dict(recorded)["Answered"]["texts"]["response"] == answer["response"]
    assert (dict(recorded)["AttemptSucceeded"]["inputTokens"], dict(recorded)["AttemptSucceeded"]["outputTokens"]) == (
        70,
        7,
    )


def test_the_table_s_answer_is_streamed_too(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        seen = stream(service, "hola")

    assert names(seen) == ["attempt", "attempt", "delta", "attempt", "answer"]
    assert text(seen) == seen[-1][1]["response"]


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("stall_after_delta", "timeout"),
        ("break_mid_stream", "connection"),
        ("no_finish", "malformed_response"),
        ("error_mid_stream", "server_error"),
    ],
)
@pytest.mark.parametrize("provider", ["groq", "ollama"])
def test_a_stream_that_fails_is_void_and_the_next_tier_answers(
    service: RunningService, stubs: StubProviders, provider: str, behaviour: str, reason: str
) -> None:
    if provider == "ollama":
        stubs.behave("groq", "status", code=400)
    stubs.behave(provider, behaviour)

    seen = stream(service, "¿me quiere?")

    assert ("discard", {"reason": reason}) in seen
    answer = seen[-1][1]
    assert answer["source"] == {"groq": "ollama", "ollama": "database"}[provider]
    assert text(seen) == answer["response"]
    failed = [it for it in answer["attempts"] if it["provider"] == provider]
    assert [(it["outcome"], it["reason"]) for it in failed] == [("failed", reason)]


def test_a_fault_before_the_first_piece_discards_nothing(service: RunningService, stubs: StubProviders) -> None:
    stubs.behave("groq", "html")

    assert "discard" not in names(stream(service, "hola"))


def test_a_cut_answer_counts_without_its_last_half_sentence(service: RunningService, stubs: StubProviders) -> None:
    stubs.behave("groq", "length", text="The moon knows. It will not te")

    answer = stream(service, "hola")[-1][1]

    assert answer["response"] == "The moon knows."
    assert answer["attempts"][0]["reason"] == "truncated"


def test_an_end_without_done_is_an_end_after_a_finish_reason(service: RunningService, stubs: StubProviders) -> None:
    stubs.behave("groq", "no_done")

    assert stream(service, "hola")[-1][1]["source"] == "groq"


def test_silence_is_filled_with_comments(service: RunningService, stubs: StubProviders) -> None:
    stubs.behave("groq", "hang")
    started_at = time.monotonic()
    with opened(service, "hola") as response:
        first = next(response.iter_raw())

    assert first.startswith(b":")
    assert time.monotonic() - started_at < 2


def test_what_is_wrong_with_the_request_is_an_ordinary_error(service: RunningService) -> None:
    for fields, status in (({"question": ""}, 422), ({"sessionId": "01890000-0000-7000-8000-000000000000"}, 404)):
        with opened(service, **({"question": "hola"} | fields)) as response:
            assert response.status_code == status
            assert response.headers["content-type"] == "application/problem+json"


def test_json_is_the_default(service: RunningService) -> None:
    for accept in ("*/*", "application/json", "application/json, text/event-stream", "application/*"):
        answer = service.client.post("/ouija/ask", json={"question": "hola"}, headers={"accept": accept})
        assert answer.headers["content-type"] == "application/json"


def leave_early(service: RunningService, headers: str = "") -> None:
    """Asks for a stream, reads its first bytes and hangs up."""
    address = urlsplit(service.url)
    body = '{"question": "¿me quiere?"}'.encode()
    with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
        head = (
            "POST /ouija/ask HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\naccept: text/event-stream\r\n"
            f"{headers}content-length: {len(body)}\r\n\r\n"
        )
        connection.sendall(head.encode() + body)
        assert b"200" in connection.recv(100)
        time.sleep(0.3)


def last_question(service: RunningService) -> str:
    import sqlite3

    with sqlite3.connect(service.database) as database:
        query = "SELECT originator_id FROM stored_events WHERE topic='ouija.Asked.v1' ORDER BY position DESC LIMIT 1"
        return str(database.execute(query).fetchone()[0])


def wait_for_the_end(service: RunningService, question_id: str) -> list[tuple[str, dict[str, Any]]]:
    from uuid import UUID

    for _ in range(100):
        recorded = history(service, str(UUID(question_id)))
        if recorded[-1][0] in ("Answered", "Withdrawn", "Abandoned"):
            return recorded
        time.sleep(0.1)
    raise AssertionError(recorded)


def test_a_client_that_goes_away_withdraws_its_question(tmp_path: Path, stubs: StubProviders) -> None:
    stubs.behave("groq", "ok", text="uno dos tres cuatro cinco seis siete", delta_ms=300)
    with RunningService(tmp_path, **providers(stubs.groq_url, stubs.ollama_url)) as service:
        leave_early(service)
        recorded = wait_for_the_end(service, last_question(service))

        assert [name for name, _ in recorded] == ["Asked", "AttemptStarted", "AttemptFailed", "Withdrawn"]
        assert recorded[2][1]["reason"] == "cancelled"
        for _ in range(10):
            ended = stubs.requests("groq")[0]["ended"]
            if ended is not None:
                break
            time.sleep(0.1)
        assert ended == "disconnected"
        assert stubs.calls("ollama") == 0


def test_with_a_key_the_question_is_finished_without_its_client(tmp_path: Path, stubs: StubProviders) -> None:
    stubs.behave("groq", "ok", latency_ms=1_000, text="Sí.")
    key = "k" * 16
    with RunningService(tmp_path, **providers(stubs.groq_url, stubs.ollama_url)) as service:
        leave_early(service, f"idempotency-key: {key}\r\n")
        recorded = wait_for_the_end(service, last_question(service))
        again = service.client.post(
            "/ouija/ask", json={"question": "¿me quiere?"}, headers={"idempotency-key": key}
        ).raise_for_status()

        assert recorded[-1][0] == "Answered"
        assert again.headers["idempotency-replayed"] == "true"
        assert again.json()["response"] == "Sí."
        assert stubs.calls("groq") == 1


def test_streams_end_properly_when_the_service_stops(tmp_path: Path, stubs: StubProviders) -> None:
    stubs.behave("groq", "ok", latency_ms=1_000)
    with RunningService(tmp_path, **providers(stubs.groq_url, stubs.ollama_url)) as service:
        with opened(service, "hola") as response:
            service.process.terminate()
            seen = list(events(response))
        assert names(seen)[-1] == "answer"
        assert service.process.wait(10) == 0
