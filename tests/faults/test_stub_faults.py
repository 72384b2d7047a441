"""The faults that only these tests use are what they say at the level of the socket."""

import json

import pytest

from tests.providers.test_stub_truth import BOTH, MEGABYTE, TEXT, ask, raw, split, streamed, text_of
from tests.stubs import StubProviders

MODES = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


@BOTH
@MODES
@pytest.mark.parametrize(("behaviour", "end"), [("reset", "reset"), ("close", "closed")])
def test_a_connection_may_end_before_the_head_or_in_it(
    stubs: StubProviders, provider: str, stream: bool, behaviour: str, end: str
) -> None:
    stubs.behave(provider, behaviour, at="start")
    assert raw(stubs, provider, stream=stream) == (b"", end)

    stubs.behave(provider, behaviour, at="head")
    received, how = raw(stubs, provider, stream=stream)
    assert (received[:17], how) == (b"HTTP/1.1 200 OK\r\n", end)
    assert b"\r\n\r\n" not in received


def test_there_are_no_other_places_to_end(stubs: StubProviders) -> None:
    with pytest.raises(ValueError, match="start, head or body"):
        stubs.behave("groq", "reset", at="tail")


@BOTH
@MODES
def test_an_interim_response_comes_before_the_reply_or_alone(stubs: StubProviders, provider: str, stream: bool) -> None:
    stubs.behave(provider, "interim", code=103)
    received, end = raw(stubs, provider, stream=stream, seconds=0.3)
    assert received.startswith(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert end == "open"

    stubs.behave(provider, "interim", reply=False)
    assert raw(stubs, provider, stream=stream, seconds=0.3) == (b"HTTP/1.1 100 Continue\r\n\r\n", "open")


@BOTH
def test_a_big_body_may_come_without_its_length(stubs: StubProviders, provider: str) -> None:
    stubs.behave(provider, "big_body", mb=2, chunked=True)
    plain, stream = ask(stubs, provider), ask(stubs, provider, stream=True)

    for reply in (plain, stream):
        assert "content-length" not in reply.headers
        assert len(reply.content) > 2 * MEGABYTE
    assert text_of(provider, plain) == TEXT
    assert "".join(piece or "" for piece in streamed(provider, stream.content)) == TEXT
    assert split(raw(stubs, provider, seconds=1)[0])[0]["transfer-encoding"] == "chunked"
    json.loads(plain.content)
