"""What POST /ouija/ask takes and refuses, on the real service."""

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.service import RunningService

JSON = {"content-type": "application/json"}


def post(service: RunningService, content: bytes | str, headers: dict[str, str] | None = None) -> httpx.Response:
    return service.client.post("/ouija/ask", content=content, headers=JSON | (headers or {}))


def assert_problem(answer: httpx.Response, status: int, kind: str | None = None) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem.keys() - {"errors"} == {"type", "title", "status", "detail", "traceId"}
    assert problem["status"] == status
    assert problem["traceId"] == answer.headers["x-trace-id"]
    assert kind is None or problem["type"].endswith(f":{kind}")
    return problem


@pytest.mark.parametrize(
    "question",
    [
        "¿Encontraré el amor?",
        "ENCONTRARE el AMOR",
        "🔮 ¿sí o no? 👩‍👩‍👧‍👦",
        "هل سأجد الحب؟",
        "e\u0301l\u0327 \u202eoruga\u202c",
        "linea\notra\tlinea",
        "x",
        "ñ" * 500,
        "𝒜" * 500,
        "<script>alert(1)</script>",
        "'; DROP TABLE stored_events; --",
        "{{7*7}} %s %n ${jndi:ldap://x}",
    ],
)
def test_a_question_is_any_text(service: RunningService, question: str) -> None:
    body = service.ask(question).raise_for_status().json()

    assert body["question"] == __import__("unicodedata").normalize("NFC", question)


def test_a_question_is_normalised_and_trimmed(service: RunningService) -> None:
    body = service.ask("  \u00a0 Me querra\u0301?\n ").raise_for_status().json()

    assert body["question"] == "Me querrá?"


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, ["question"]),
        ({"question": ""}, ["question"]),
        ({"question": " \n\t "}, ["question"]),
        ({"question": "a" * 501}, ["question"]),
        ({"question": None}, ["question"]),
        ({"question": 7}, ["question"]),
        ({"question": ["a"]}, ["question"]),
        ({"question": "a\x00b"}, ["question"]),
        ({"question": "a\x1b[31mb"}, ["question"]),
        ({"question": "a\x85b"}, ["question"]),
        ({"question": "a", "personality": "evil"}, ["personality"]),
        ({"question": "a", "language": "fr"}, ["language"]),
        ({"question": "a", "language": "ES"}, ["language"]),
        ({"question": "a", "sessionId": "nope"}, ["sessionId"]),
        ({"question": "a", "session_id": None}, ["session_id"]),
        ({"question": "a", "extra": 1}, ["extra"]),
        ({"question": "", "personality": 1, "language": {}, "x" * 300: 0}, None),
    ],
)
def test_mistakes_are_named_all_at_once(
    service: RunningService, body: dict[str, Any], fields: list[str] | None
) -> None:
    problem = assert_problem(post(service, json.dumps(body)), 422, "invalid-request")

    named = [error["field"] for error in problem["errors"]]
    assert all(error["message"] for error in problem["errors"])
    if fields is None:
        assert named[:3] == ["question", "personality", "language"]
        assert len(named[3]) == 100
    else:
        assert named == fields


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'"a"',
        b"null",
        b"\xff\xfe",
        b'{"question": "\xff"}',
        b'{"question": "\\ud800"}',
        b"[" * 16_000,
    ],
)
def test_what_is_no_json_object_is_malformed(service: RunningService, content: bytes) -> None:
    assert_problem(post(service, content), 400, "malformed-request")


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-encoding": "gzip"},
    ],
)
def test_other_media_types_are_refused(service: RunningService, headers: dict[str, str]) -> None:
    assert_problem(post(service, b'{"question": "a"}', headers), 415)


def test_utf_8_may_be_said(service: RunningService) -> None:
    answer = post(service, b'{"question": "a"}', {"content-type": 'application/json; charset="UTF-8"'})

    assert answer.status_code == 200


def test_a_large_body_is_refused_before_it_is_read(service: RunningService) -> None:
    at_the_limit = b'{"question": "a"}'.ljust(16 * 1024)

    assert post(service, at_the_limit).status_code == 200
    assert_problem(post(service, at_the_limit + b" "), 413)
    assert_problem(service.client.post("/ouija/ask", content=iter([at_the_limit, b" "]), headers=JSON), 413)


def test_a_length_that_is_only_claimed_is_refused_at_once(service: RunningService) -> None:
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port), timeout=5) as connection:
        connection.sendall(
            b"POST /ouija/ask HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            b"content-length: 1000000000\r\n\r\n{"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("begun", [b"", b"{"])
def test_a_slow_body_is_given_up(service: RunningService, begun: bytes) -> None:
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(
            b"POST /ouija/ask HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 20\r\n\r\n"
            + begun
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_another_method_is_told_which_one_to_use(service: RunningService, method: str) -> None:
    answer = service.client.request(method, "/ouija/ask")

    assert_problem(answer, 405)
    assert "POST" in answer.headers["allow"]


def test_an_unknown_path_is_a_problem_too(service: RunningService) -> None:
    assert_problem(service.client.get("/nope"), 404)
    assert_problem(service.client.get("/audit/sessions/not-a-uuid"), 404)


def test_a_client_that_takes_no_json_is_told_so(service: RunningService) -> None:
    assert_problem(post(service, b'{"question": "a"}', {"accept": "image/png"}), 406)


@pytest.mark.parametrize(
    ("accept_language", "language"),
    [
        (None, "es"),
        ("en", "en"),
        ("en-GB,en;q=0.9", "en"),
        ("fr, en;q=0.5, es;q=0.4", "en"),
        ("es-MX;q=0.3, en;q=0.2", "es"),
        ("en;q=0, es;q=0.1", "es"),
        ("fr", "es"),
        ("*", "es"),
        ("en;q=nonsense, ;;;,", "es"),
    ],
)
def test_the_language_comes_from_the_header(
    service: RunningService, accept_language: str | None, language: str
) -> None:
    headers = {} if accept_language is None else {"accept-language": accept_language}

    assert post(service, b'{"question": "a"}', headers).json()["language"] == language


def test_the_body_wins_over_the_header(service: RunningService) -> None:
    answer = post(service, b'{"question": "a", "language": "es"}', {"accept-language": "en"})

    assert answer.json()["language"] == "es"
    assert answer.headers["content-language"] == "es"


def test_null_is_as_good_as_left_out(service: RunningService) -> None:
    body = service.ask("a", personality=None, language=None, sessionId=None).raise_for_status().json()

    assert (body["personality"], body["language"]) == ("wise", "es")


def test_a_trace_goes_on_and_a_malformed_one_is_replaced(service: RunningService) -> None:
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"

    known = post(service, b'{"question": "a"}', {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"})
    malformed = post(service, b'{"question": "a"}', {"traceparent": f"00-{'0' * 32}-00f067aa0ba902b7-01"})

    assert known.headers["x-trace-id"] == trace_id
    assert malformed.headers["x-trace-id"] not in ("0" * 32, trace_id)


def test_the_time_it_took_is_told_by_its_parts(service: RunningService) -> None:
    timing = service.ask("a").headers["server-timing"]

    assert [entry.split(";")[0].strip() for entry in timing.split(",")] == ["groq", "record"]


def test_every_response_has_security_headers(service: RunningService) -> None:
    for answer in (service.ask("a"), service.client.get("/"), service.client.get("/nope")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "server" not in answer.headers
