"""Wrong tokens are counted per address, right ones never; reads of the record are written down, without secrets."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from falcon import testing
from falcon.asgi import Request
from pydantic import SecretStr

from ouija_es.errors import TooManyWrongTokens, WrongToken
from ouija_es.resources.allowance import CLIENTS
from ouija_es.resources.tokens import WRONG_TOKENS_PER_MINUTE, BearerToken, OperatorTokens, WrongTokens
from tests.service import AUDIT_TOKEN, RunningService

AUDIT, METRICS = "the-audit-token-itself", "the-metrics-token-itself"
AUDITOR = {"Authorization": f"Bearer {AUDIT_TOKEN}"}
GUARDED = ["/audit/sessions", "/audit/events", "/metrics", "/dashboard", "/dashboard?as_of=1"]


def request(token: str | None, address: str = "192.0.2.1", **headers: str) -> Request:
    given = {} if token is None else {"Authorization": f"Bearer {token}"}
    req = testing.create_asgi_req(headers=given | headers)
    req.scope["client"] = (address, 50_000)
    req.uri_template = "/audit/events"
    req.context.trace_id = "0" * 32
    return req


def audit_token(proxy_hops: int = 0) -> BearerToken:
    return BearerToken("audit", SecretStr(AUDIT), WrongTokens(proxy_hops))


def refusals(token: BearerToken, count: int, *given: Any, **headers: str) -> list[type[Exception]]:
    found: list[type[Exception]] = []
    for _ in range(count):
        with pytest.raises((WrongToken, TooManyWrongTokens)) as caught:
            token.check(request(*given, **headers))
        found.append(caught.type)
    return found


def test_after_a_minute_s_worth_of_wrong_tokens_an_address_is_told_to_wait() -> None:
    token = audit_token()
    assert refusals(token, WRONG_TOKENS_PER_MINUTE, "wrong") == [WrongToken] * WRONG_TOKENS_PER_MINUTE
    with pytest.raises(TooManyWrongTokens) as caught:
        token.check(request("guess-11"))
    assert 1 <= (caught.value.retry_after_seconds or 0) <= 6
    assert caught.value.headers["RateLimit-Remaining"] == "0"
    assert "guess" not in str(caught.value)


def test_a_right_token_always_passes_and_costs_nothing() -> None:
    token = audit_token()
    for _ in range(50):
        token.check(request(AUDIT))
    refusals(token, 30, "wrong")
    token.check(request(AUDIT))


def test_no_token_at_all_is_no_guess() -> None:
    assert refusals(audit_token(), 50, None) == [WrongToken] * 50


def test_addresses_do_not_share_and_those_of_one_network_do() -> None:
    token = audit_token()
    refusals(token, 30, "wrong", "2001:db8::1")
    assert refusals(token, 1, "wrong", "2001:db8::2") == [TooManyWrongTokens]
    assert refusals(token, 1, "wrong", "2001:db8:0:1::1") == [WrongToken]


def test_behind_a_proxy_the_address_is_the_one_it_tells() -> None:
    token = audit_token(proxy_hops=1)
    refusals(token, 30, "wrong", "10.0.0.1", **{"X-Forwarded-For": "203.0.113.9, 198.51.100.1"})
    assert refusals(token, 1, "wrong", "10.0.0.1", **{"X-Forwarded-For": "198.51.100.1"}) == [TooManyWrongTokens]
    assert refusals(token, 1, "wrong", "10.0.0.1", **{"X-Forwarded-For": "198.51.100.2"}) == [WrongToken]


def test_the_kinds_of_tokens_share_one_allowance() -> None:
    wrong = WrongTokens(0)
    audit, metrics = (BearerToken(name, SecretStr(it), wrong) for name, it in (("audit", AUDIT), ("metrics", METRICS)))
    refusals(audit, 30, "wrong")
    with pytest.raises(TooManyWrongTokens):
        OperatorTokens(metrics, audit).check(request("wrong"))
    for right in (AUDIT, METRICS):
        OperatorTokens(metrics, audit).check(request(right))


@pytest.mark.deep
def test_a_hundred_thousand_addresses_are_not_remembered() -> None:
    wrong = WrongTokens(0)
    token = BearerToken("audit", SecretStr(AUDIT), wrong)
    for number in range(2 * CLIENTS):
        refusals(token, 1, "wrong", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(wrong._limiter._store._backend.get_client()) == CLIENTS


# -- the service ----------------------------------------------------------------------------------------------------


@pytest.fixture
def service(tmp_path: Path) -> Iterator[RunningService]:
    variables = {"METRICS_TOKEN": METRICS, "ERASURE_TOKEN": "the-erasure-token", "LOG_FORMAT": "json"}
    with RunningService(tmp_path, **variables) as running:
        yield running


def lines(service: RunningService, event: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in service.log.splitlines() if line.startswith("{") and line.endswith("}")]
    return [line for line in found if line["event"] == event]


def test_every_guarded_route_counts_wrong_tokens_and_lets_right_ones_pass(service: RunningService) -> None:
    statuses = [
        service.client.get(GUARDED[number % len(GUARDED)], headers={"Authorization": f"Bearer guess-{number}"})
        for number in range(40)
    ]
    codes = [response.status_code for response in statuses]
    assert codes[:WRONG_TOKENS_PER_MINUTE] == [401] * WRONG_TOKENS_PER_MINUTE
    assert (
        codes[WRONG_TOKENS_PER_MINUTE:].count(429) >= 20
    )  # on a machine that stands still for seconds some pass again
    limited = next(response for response in statuses if response.status_code == 429)
    assert limited.json()["type"] == "urn:ouija-es:problem:too-many-wrong-tokens"
    assert int(limited.headers["Retry-After"]) >= 1
    for path in GUARDED:
        assert service.client.get(path, headers=AUDITOR).status_code == 200
        assert service.client.get(path).status_code == 401
    assert service.ask("hola").status_code == 200
    refused = lines(service, "token refused")
    assert len(refused) == codes.count(401)
    assert {line["token"] for line in refused} == {"audit", "metrics or audit"}
    assert max(line["refused"] for line in refused if line["token"] == "audit") >= 4
    assert "guess" not in service.log


def test_every_read_of_the_record_is_a_line_with_what_and_by_which_token(service: RunningService) -> None:
    first = service.ask("¿Encontraré el amor?").json()
    second = service.ask("¿Y cuándo?", sessionId=first["sessionId"]).json()
    reads: dict[str, dict[str, Any]] = {
        f"/audit/questions/{second['questionId']}": {"question_id": second["questionId"]},
        f"/audit/sessions/{first['sessionId']}": {"question_id": first["questionId"]},
        "/audit/sessions?limit=5": {"sessions": 1},
        "/audit/events?after=2&limit=3": {"behind": 2, "up_to": 5},
    }
    for address in reads:
        service.client.get(address, headers=AUDITOR).raise_for_status()
    service.client.get("/audit/events?limit=0", headers=AUDITOR)
    service.client.delete(
        f"/audit/sessions/{first['sessionId']}", headers={"Authorization": "Bearer the-erasure-token"}
    ).raise_for_status()
    *accepted, erased = lines(service, "token accepted")
    assert len(accepted) == len(reads)
    for line, (address, told) in zip(accepted, reads.items(), strict=True):
        assert line["token"] == "audit"
        assert line["route"].split("{")[0] in address
        assert line["timestamp"]
        assert line.items() >= told.items()
    assert (erased["token"], erased["route"]) == ("erasure", "/audit/sessions/{session_id:uuid}")
    assert first["sessionId"] not in service.log
