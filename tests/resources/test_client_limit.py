"""Who counts as one client, and how often one may ask."""

import time

import pytest
from falcon import testing
from falcon.asgi import Request, Response
from pydantic import SecretStr

from ouija_es.errors import TooManyRequests
from ouija_es.resources.allowance import CLIENTS
from ouija_es.resources.client import client_address, limit_key
from ouija_es.resources.client_limit import ClientLimit
from ouija_es.resources.tokens import BearerToken

TOKEN = "token-of-the-load-test"
NO_TOKEN = BearerToken("loadtest", None)


def request(**headers: str) -> Request:
    """From 192.0.2.1, in the form in which uvicorn says so."""
    req = testing.create_asgi_req(headers={name.replace("_", "-"): value for name, value in headers.items()})
    req.scope["client"] = ("192.0.2.1", 50_000)
    return req


def spend(limit: ClientLimit, address: str | None = "192.0.2.1", **headers: str) -> tuple[str, str, str] | None:
    """The three headers; None if there are none. Raises TooManyRequests."""
    resp = Response()
    limit.spend(request(**headers), resp, address)
    return told(resp)


def told(resp: Response) -> tuple[str, str, str] | None:
    found = [resp.get_header(f"RateLimit-{name}") for name in ("Limit", "Remaining", "Reset")]
    return None if found == [None] * 3 else (found[0], found[1], found[2])


def remembered(limit: ClientLimit) -> tuple[int, int]:
    """Entries in the library's two tables."""
    store = limit._limiter._store._backend
    return len(store.get_client()), len(store.expire_info)


def test_a_minute_s_worth_passes_at_once_and_then_no_more() -> None:
    limit = ClientLimit(5, NO_TOKEN)
    assert [spend(limit) for _ in range(5)] == [
        ("5", "4", "12"),
        ("5", "3", "24"),
        ("5", "2", "36"),
        ("5", "1", "48"),
        ("5", "0", "60"),
    ]

    resp = Response()
    with pytest.raises(TooManyRequests) as caught:
        limit.spend(request(), resp, "192.0.2.1")

    assert caught.value.retry_after_seconds == 12
    assert told(resp) == ("5", "0", "60")
    assert "192.0.2.1" not in caught.value.detail


def test_being_refused_costs_nothing_and_after_the_time_told_one_more_passes() -> None:
    limit = ClientLimit(60, NO_TOKEN)
    for _ in range(60):
        spend(limit)
    refusals = 0
    for _ in range(20):
        try:
            spend(limit)
        except TooManyRequests as error:
            refusals += 1
            retry_after_seconds = error.retry_after_seconds
    assert refusals >= 15  # on a machine that stands still for seconds some may pass again
    assert retry_after_seconds == 1

    time.sleep(retry_after_seconds)
    assert spend(limit) is not None


def test_clients_do_not_share_and_the_unknown_do() -> None:
    limit = ClientLimit(1, NO_TOKEN)
    spend(limit, "192.0.2.1")
    spend(limit, "192.0.2.2")
    spend(limit, None)
    for address in ("192.0.2.1", "192.0.2.2", None):
        with pytest.raises(TooManyRequests):
            spend(limit, address)


def test_zero_switches_it_off() -> None:
    limit = ClientLimit(0, NO_TOKEN)
    assert [spend(limit) for _ in range(1000)] == [None] * 1000


def test_the_token_s_bearer_is_not_limited() -> None:
    limit = ClientLimit(1, BearerToken("loadtest", SecretStr(TOKEN)))
    assert [spend(limit, authorization=f"Bearer {TOKEN}") for _ in range(50)] == [None] * 50
    assert spend(limit) == ("1", "0", "60")


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN}x", TOKEN, "Bearer ñandú"]
)
@pytest.mark.parametrize("secret", [None, SecretStr(TOKEN)])
def test_any_other_authorization_is_no_exemption(header: str, secret: SecretStr | None) -> None:
    limit = ClientLimit(1, BearerToken("loadtest", secret))
    assert spend(limit, authorization=header) == ("1", "0", "60")
    with pytest.raises(TooManyRequests):
        spend(limit, authorization=header)


def test_a_hundred_thousand_addresses_are_not_remembered() -> None:
    limit, req, resp = ClientLimit(100, NO_TOKEN), request(), Response()
    for number in range(100_000):
        limit.spend(req, resp, f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        if number % 2000 == 0:
            limit.spend(req, resp, "192.0.2.1")
    assert remembered(limit) == (CLIENTS, CLIENTS)
    assert limit._limiter.peek("192.0.2.1").remaining < 100  # who goes on asking is not forgotten
    assert limit._limiter.peek("10.0.0.0").remaining == 100


def test_one_client_costs_one_entry_however_much_is_allowed() -> None:
    limit = ClientLimit(1_000_000, NO_TOKEN)
    for _ in range(1000):
        spend(limit)
    assert remembered(limit) == (1, 1)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("2001:db8:0:0:1::", "2001:db8:0:1::", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("::1", "192.0.2.1", False),
        (None, None, True),
        (None, "192.0.2.1", False),
    ],
)
def test_an_allowance_belongs_to_an_ipv4_address_or_an_ipv6_prefix(
    one: str | None, other: str | None, same: bool
) -> None:
    assert (limit_key(one) == limit_key(other)) is same


@pytest.mark.parametrize(
    ("hops", "forwarded", "address"),
    [
        (0, None, "192.0.2.1"),
        (1, "198.51.100.1", "198.51.100.1"),
        (1, "203.0.113.66, 198.51.100.1", "198.51.100.1"),
        (2, "203.0.113.66, 198.51.100.1, 10.0.0.1", "198.51.100.1"),
        (1, "  2001:DB8::1 ", "2001:db8::1"),
        (1, None, None),
        (1, "", None),
        (2, "198.51.100.1", None),
        (1, "198.51.100.1, unknown", None),
        (1, "198.51.100.1,", None),
    ],
)
def test_the_address_is_the_entry_the_last_trusted_proxy_wrote(
    hops: int, forwarded: str | None, address: str | None
) -> None:
    headers = {} if forwarded is None else {"x_forwarded_for": forwarded}
    assert client_address(request(**headers), hops) == address


@pytest.mark.parametrize("client", [None, ("", 0), ("/run/ouija.sock", None), ("localhost", 1)])
@pytest.mark.parametrize("headers", [{}, {"x_forwarded_for": "198.51.100.1"}, {"x_real_ip": "198.51.100.1"}])
def test_what_is_no_address_is_unknown_whatever_a_header_says(
    client: tuple[str, int | None] | None, headers: dict[str, str]
) -> None:
    req = request(**headers)
    req.scope["client"] = client
    assert client_address(req, 0) is None


@pytest.mark.parametrize("header", ["x_forwarded_for", "x_real_ip", "forwarded"])
def test_without_a_proxy_no_header_changes_who_asks(header: str) -> None:
    value = "for=198.51.100.1" if header == "forwarded" else "198.51.100.1"
    assert client_address(request(**{header: value}), 0) == "192.0.2.1"
