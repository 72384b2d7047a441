"""How often one address may ask, on the real service: what is told, who is exempt, what does not help."""

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.service import RunningService

TOKEN = "token-of-the-load-test"
LIMIT = 3
ORIGIN = "https://board.example"


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """Behind one proxy: the tests are that proxy, and each asks from addresses of its own."""
    variables = {
        "CLIENT_REQUESTS_PER_MINUTE": str(LIMIT),
        "PROXY_HOPS": "1",
        "LOADTEST_TOKEN": TOKEN,
        "CORS_ORIGINS": ORIGIN,
    }
    with RunningService(tmp_path_factory.mktemp("data"), **variables) as running:
        yield running


def ask(service: RunningService, address: str, body: object = None, **headers: str) -> httpx.Response:
    named = {"X-Forwarded-For": address} | {name.replace("_", "-"): value for name, value in headers.items()}
    return service.client.post("/ouija/ask", json=body or {"question": "¿Cuántas veces?"}, headers=named)


def use_up(service: RunningService, address: str) -> None:
    for _ in range(LIMIT):
        assert ask(service, address).status_code == 200


def assert_refused(answer: httpx.Response) -> None:
    assert answer.status_code == 429, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "urn:ouija-es:problem:too-many-requests"
    assert problem["status"] == 429
    assert problem["traceId"] == answer.headers["x-trace-id"]
    assert 1 <= int(answer.headers["retry-after"]) <= 60 / LIMIT
    assert answer.headers["ratelimit-limit"] == str(LIMIT)
    assert answer.headers["ratelimit-remaining"] == "0"
    assert int(answer.headers["retry-after"]) <= int(answer.headers["ratelimit-reset"]) <= 60


def test_every_answer_tells_what_is_left_and_then_it_is_refused(limited: RunningService) -> None:
    answers = [ask(limited, "198.51.100.1") for _ in range(LIMIT)]

    assert [answer.status_code for answer in answers] == [200] * LIMIT
    assert [answer.headers["ratelimit-limit"] for answer in answers] == [str(LIMIT)] * LIMIT
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["2", "1", "0"]
    assert all(1 <= int(answer.headers["ratelimit-reset"]) <= 60 for answer in answers)
    assert_refused(ask(limited, "198.51.100.1"))
    assert ask(limited, "198.51.100.2").status_code == 200


def test_a_request_that_is_no_question_counts_too(limited: RunningService) -> None:
    answers = [ask(limited, "198.51.100.3", {"nonsense": 1}) for _ in range(LIMIT)]

    assert [answer.status_code for answer in answers] == [422] * LIMIT
    assert [answer.headers["ratelimit-remaining"] for answer in answers] == ["2", "1", "0"]
    assert_refused(ask(limited, "198.51.100.3"))


def test_a_client_is_refused_before_its_body_is_read(limited: RunningService) -> None:
    use_up(limited, "198.51.100.4")
    address = urlsplit(limited.url)
    with socket.create_connection((address.hostname, address.port), timeout=4) as connection:
        connection.sendall(
            b"POST /ouija/ask HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            b"x-forwarded-for: 198.51.100.4\r\ncontent-length: 100\r\n\r\n{"
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 429")


def test_what_the_client_itself_writes_as_its_address_is_not_believed(limited: RunningService) -> None:
    use_up(limited, "198.51.100.5")

    assert_refused(ask(limited, "203.0.113.1, 198.51.100.5"))
    two_lines = [("X-Forwarded-For", "203.0.113.2"), ("X-Forwarded-For", "198.51.100.5")]
    assert_refused(limited.client.post("/ouija/ask", json={"question": "¿Y así?"}, headers=two_lines))
    assert_refused(ask(limited, "198.51.100.5", X_Real_IP="203.0.113.3", Forwarded="for=203.0.113.4"))


def test_the_addresses_of_one_ipv6_network_count_together(limited: RunningService) -> None:
    use_up(limited, "2001:db8:0:7::1")

    assert_refused(ask(limited, "2001:db8:0:7:ffff::2"))
    assert ask(limited, "2001:db8:0:8::1").status_code == 200


def test_who_has_no_address_counts_as_one_client(limited: RunningService) -> None:
    use_up(limited, "unknown")

    assert_refused(ask(limited, "_hidden"))


def test_the_load_test_s_token_is_not_limited_and_no_other_helps(limited: RunningService) -> None:
    answers = [ask(limited, "198.51.100.6", Authorization=f"Bearer {TOKEN}") for _ in range(LIMIT * 3)]
    assert [answer.status_code for answer in answers] == [200] * LIMIT * 3
    assert not any("ratelimit-limit" in answer.headers for answer in answers)

    wrong = [ask(limited, "198.51.100.6", Authorization="Bearer token-of-somebody-else") for _ in range(LIMIT)]
    assert [answer.status_code for answer in wrong] == [200] * LIMIT
    assert_refused(ask(limited, "198.51.100.6", Authorization="Bearer token-of-somebody-else"))


def test_only_asking_is_limited(limited: RunningService) -> None:
    use_up(limited, "198.51.100.7")
    for path in ("/health", "/health/ready", "/"):
        for _ in range(LIMIT + 1):
            answer = limited.client.get(path, headers={"X-Forwarded-For": "198.51.100.7"})
            assert answer.status_code == 200
            assert "ratelimit-limit" not in answer.headers


def test_a_page_of_another_origin_can_read_what_is_left(limited: RunningService) -> None:
    exposed = ask(limited, "198.51.100.8", Origin=ORIGIN).headers["access-control-expose-headers"]

    assert {"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After"} <= set(exposed.split(", "))


def test_no_address_is_printed(limited: RunningService) -> None:
    use_up(limited, "198.51.100.99")
    assert_refused(ask(limited, "198.51.100.99"))

    assert "198.51.100" not in limited.log
    assert TOKEN not in limited.log


@pytest.mark.parametrize(("limit", "told"), [("60", "60"), ("0", None)])
def test_the_limit_is_the_variable_s_and_zero_is_none(tmp_path: Path, limit: str, told: str | None) -> None:
    with RunningService(tmp_path, CLIENT_REQUESTS_PER_MINUTE=limit) as service:
        assert service.ask("¿Cuántas?").raise_for_status().headers.get("ratelimit-limit") == told
