"""The stub providers speak the real wires, and their faults are what they say at the level of the socket."""

import contextlib
import gzip
import json
import os
import re
import signal
import socket
import ssl
import time
from collections.abc import Iterator

import groq
import httpx
import ollama
import pytest
from groq.types import ErrorObject
from groq.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import TypeAdapter

from loadtests.stubs.behaviours import BEHAVIOURS
from loadtests.stubs.wire import TEXT
from tests.stubs import StubProviders

QUESTION = [{"role": "user", "content": "¿Encontraré el amor?"}]
GROQ = "/openai/v1/chat/completions"
OLLAMA = "/api/chat"
BOTH = pytest.mark.parametrize("provider", ["groq", "ollama"])
MEGABYTE = 1024 * 1024
# A client loads all certificates when it is made, which takes longer than what is tested here; none is needed.
DIRECT = {"verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "trust_env": False}


@pytest.fixture(scope="module")
def running() -> Iterator[StubProviders]:
    with StubProviders() as stubs:
        yield stubs


@pytest.fixture
def stubs(running: StubProviders) -> StubProviders:
    running.reset()
    return running


@pytest.fixture
def groq_client(stubs: StubProviders) -> Iterator[groq.Groq]:
    # This client appends /openai/v1 by itself.
    options = {"base_url": stubs.url, "api_key": "k" * 20, "max_retries": 0, "_strict_response_validation": True}
    with groq.Groq(**options, http_client=httpx.Client(**DIRECT)) as client:
        yield client


@pytest.fixture
def ollama_client(stubs: StubProviders) -> Iterator[ollama.Client]:
    with ollama.Client(host=stubs.ollama_url, **DIRECT) as client:
        yield client


def ask(stubs: StubProviders, provider: str, *, stream: bool = False, timeout: float = 5) -> httpx.Response:
    body = {"model": "m", "messages": QUESTION, "stream": stream}
    path = GROQ if provider == "groq" else OLLAMA
    headers = {"authorization": "Bearer k"}
    return httpx.post(stubs.url + path, json=body, headers=headers, timeout=timeout, **DIRECT)


def raw(stubs: StubProviders, provider: str, *, stream: bool = False, seconds: float = 2) -> tuple[bytes, str]:
    """What arrives on the socket until it ends, and how it ends: `closed`, `reset`, or `open` after so many seconds."""
    body = json.dumps({"model": "m", "messages": QUESTION, "stream": stream}).encode()
    path = GROQ if provider == "groq" else OLLAMA
    received = b""
    with open_socket(stubs) as sock:
        start = f"POST {path} HTTP/1.1\r\nhost: stub\r\nauthorization: Bearer k\r\ncontent-length: {len(body)}\r\n\r\n"
        sock.sendall(start.encode() + body)
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            sock.settimeout(left)
            try:
                data = sock.recv(65536)
            except TimeoutError:
                break
            except ConnectionResetError:
                return received, "reset"
            if not data:
                return received, "closed"
            received += data
    return received, "open"


def open_socket(stubs: StubProviders) -> socket.socket:
    host, port = stubs.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=5)


def split(received: bytes) -> tuple[dict[str, str], bytes]:
    start, _, body = received.partition(b"\r\n\r\n")
    return dict(line.lower().split(": ", 1) for line in start.decode().split("\r\n")[1:]), body


def text_of(provider: str, reply: httpx.Response) -> object:
    content = reply.json()
    return content["choices"][0]["message"]["content"] if provider == "groq" else content["message"]["content"]


# The official clients accept what is healthy.


def test_the_official_groq_client_accepts_a_reply(groq_client):
    raw_reply = groq_client.chat.completions.with_raw_response.create(model="llama-3.1-8b-instant", messages=QUESTION)
    reply = raw_reply.parse()
    TypeAdapter(ChatCompletion).validate_json(raw_reply.read(), strict=True)

    assert (reply.choices[0].message.content, reply.choices[0].finish_reason) == (TEXT, "stop")
    assert (reply.model, reply.object) == ("llama-3.1-8b-instant", "chat.completion")
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert reply.usage.total_time == pytest.approx(reply.usage.prompt_time + reply.usage.completion_time)
    assert re.fullmatch(r"req_[0-9a-hjkmnp-tv-z]{26}", reply.x_groq.id)
    assert reply.system_fingerprint.startswith("fp_")


def test_the_official_groq_client_accepts_a_stream(groq_client):
    stream = groq_client.chat.completions.create(model="llama-3.1-8b-instant", messages=QUESTION, stream=True)
    chunks = list(stream)

    assert stream.response.headers["content-type"] == "text/event-stream"
    assert all(type(chunk) is ChatCompletionChunk for chunk in chunks)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason] == ["stop"]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].x_groq.usage.completion_tokens == len(chunks) - 2
    assert {chunk.id for chunk in chunks} == {chunks[0].id}


def test_every_streamed_groq_chunk_has_the_official_shape(stubs):
    lines = ask(stubs, "groq", stream=True).text.split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    for line in lines[:-2]:
        TypeAdapter(ChatCompletionChunk).validate_json(line.removeprefix("data: "), strict=True)


def test_groq_tells_its_limits_in_every_reply(stubs):
    headers = ask(stubs, "groq").headers
    for what in ("requests", "tokens"):
        assert int(headers[f"x-ratelimit-remaining-{what}"]) <= int(headers[f"x-ratelimit-limit-{what}"])
        assert re.fullmatch(r"(\d+h)?(\d+m)?\d+(\.\d+)?s", headers[f"x-ratelimit-reset-{what}"])


def test_the_official_ollama_client_accepts_a_reply(ollama_client):
    reply = ollama_client.chat("qwen2.5:0.5b", QUESTION)

    assert (reply.message.content, reply.message.role) == (TEXT, "assistant")
    assert (reply.model, reply.done, reply.done_reason) == ("qwen2.5:0.5b", True, "stop")
    assert (reply.prompt_eval_count, reply.eval_count) == (58, len(TEXT.split()))
    assert reply.total_duration > reply.load_duration + reply.prompt_eval_duration + reply.eval_duration


def test_the_official_ollama_client_accepts_a_stream(ollama_client):
    *parts, last = ollama_client.chat("qwen2.5:0.5b", QUESTION, stream=True)

    assert "".join(part.message.content for part in parts) == TEXT
    assert not any(part.done for part in parts)
    assert (last.done, last.done_reason, last.eval_count) == (True, "stop", len(parts))


def test_the_official_ollama_client_accepts_generated_text(ollama_client):
    assert ollama_client.generate("qwen2.5:0.5b", "¿Sí o no?").response == TEXT
    *parts, last = ollama_client.generate("qwen2.5:0.5b", "¿Sí o no?", stream=True)
    assert ("".join(part.response for part in parts), last.done_reason) == (TEXT, "stop")


def test_ollama_lists_and_loads_models_and_neither_counts_as_a_call(stubs, ollama_client):
    stubs.behave("ollama", ["wrong_types", "ok"])
    assert [model.model for model in ollama_client.list().models] == ["qwen2.5:0.5b"]
    assert ollama_client.generate("qwen2.5:0.5b").done_reason == "load"
    assert ollama_client.chat("qwen2.5:0.5b").done_reason == "load"
    assert (stubs.calls("ollama"), stubs.state()["ollama"]["probes"]) == (0, 3)

    assert text_of("ollama", ask(stubs, "ollama")) == 7


def test_ollama_streams_unless_told_not_to(stubs):
    reply = httpx.post(stubs.url + OLLAMA, json={"model": "m", "messages": QUESTION}, **DIRECT)
    assert reply.headers["content-type"] == "application/x-ndjson"
    lines = [ollama.ChatResponse.model_validate_json(line, strict=True) for line in reply.text.splitlines()]
    assert lines[-1].done


def test_no_two_replies_of_groq_have_the_same_id(stubs):
    ids = {ask(stubs, "groq").json()["id"] for _ in range(3)}
    assert len(ids) == 3


# Errors have the official shapes.


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (400, groq.BadRequestError),
        (401, groq.AuthenticationError),
        (403, groq.PermissionDeniedError),
        (404, groq.NotFoundError),
        (413, groq.APIStatusError),
        (422, groq.UnprocessableEntityError),
        (429, groq.RateLimitError),
        (498, groq.APIStatusError),
        (500, groq.InternalServerError),
        (503, groq.InternalServerError),
    ],
)
def test_groq_errors_reach_the_official_client(stubs, groq_client, code, error):
    stubs.behave("groq", "status", code=code)
    with pytest.raises(error) as caught:
        groq_client.chat.completions.create(model="m", messages=QUESTION)
    assert caught.value.status_code == code
    TypeAdapter(ErrorObject).validate_python(caught.value.body["error"], strict=True)


def test_a_rate_limited_groq_says_when_to_come_back(stubs):
    stubs.behave("groq", "status", code=429)
    assert ask(stubs, "groq").headers["retry-after"] == "2"
    stubs.behave("groq", "status", code=429, headers={"retry-after": None, "retry-after-ms": "1500"}, body={"a": 1})
    reply = ask(stubs, "groq")
    assert ("retry-after" in reply.headers, reply.headers["retry-after-ms"], reply.json()) == (False, "1500", {"a": 1})


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("behaviour", "code", "message"),
    [
        ({"behaviour": "status", "code": 500}, 500, "llama runner"),
        ({"behaviour": "not_pulled"}, 404, "model 'qwen2.5:0.5b' not found"),
        ({"behaviour": "loading"}, 503, "loading model"),
    ],
)
def test_ollama_errors_reach_the_official_client(stubs, ollama_client, behaviour, code, message, stream):
    stubs.behave("ollama", [behaviour])
    with pytest.raises(ollama.ResponseError, match=message) as caught:
        list(ollama_client.chat("qwen2.5:0.5b", QUESTION, stream=stream))
    assert caught.value.status_code == code


def test_an_ollama_without_the_model_lists_none_and_one_that_loads_lists_it(stubs, ollama_client):
    stubs.behave("ollama", "not_pulled")
    assert ollama_client.list().models == []
    with pytest.raises(ollama.ResponseError, match="not found"):
        ollama_client.generate("qwen2.5:0.5b")
    stubs.behave("ollama", "loading")
    assert len(ollama_client.list().models) == 1


def test_groq_loading_is_said_as_llama_cpp_says_it(stubs):
    stubs.behave("groq", "loading")
    reply = ask(stubs, "groq")
    error = {"message": "Loading model", "type": "unavailable_error", "code": 503}
    assert (reply.status_code, reply.json()) == (503, {"error": error})


@pytest.mark.parametrize(
    ("path", "headers", "content", "code"),
    [
        (GROQ, {}, b'{"model": "m", "messages": [{"role": "user", "content": "a"}]}', 401),
        (GROQ, {"authorization": "Basic k"}, b'{"model": "m", "messages": [{"role": "user", "content": "a"}]}', 401),
        (GROQ, {"authorization": "Bearer k"}, b"{", 400),
        (GROQ, {"authorization": "Bearer k"}, b'{"messages": []}', 400),
        (GROQ, {"authorization": "Bearer k"}, b'{"model": "m", "messages": []}', 400),
        (OLLAMA, {}, b"", 400),
        (OLLAMA, {}, b"{", 400),
        (OLLAMA, {}, b'{"messages": [{"role": "user", "content": "a"}]}', 400),
    ],
)
def test_a_healthy_provider_refuses_a_wrong_request(stubs, path, headers, content, code):
    reply = httpx.post(stubs.url + path, headers=headers, content=content, **DIRECT)
    assert reply.status_code == code
    assert reply.json()["error"]


# Contents that are sound HTTP.


@BOTH
@pytest.mark.parametrize(
    ("behaviour", "check"),
    [
        ("null_content", lambda text: text is None),
        ("empty_content", lambda text: text == ""),
        ("whitespace", lambda text: text and not text.strip()),
        ("too_long", lambda text: len(text) >= 2001),
        ("nul", lambda text: "\x00" in text),
        ("wrong_types", lambda text: text == 7),
        ("length", lambda text: "." in text and not text.endswith(".")),
    ],
)
def test_strange_contents_are_sound_json(stubs, provider, behaviour, check):
    stubs.behave(provider, behaviour)
    assert check(text_of(provider, ask(stubs, provider)))

    reply = ask(stubs, provider, stream=True)
    if behaviour != "wrong_types":
        pieces = list(streamed(provider, reply.content))
        assert check(None if pieces == [None] else "".join(pieces))


def streamed(provider: str, body: bytes) -> Iterator[str | None]:
    """The pieces of text in a stream's body."""
    for line in body.splitlines():
        if provider == "groq" and line.startswith(b"data: {"):
            delta = json.loads(line[6:])["choices"][0]["delta"]
            if "content" in delta and "role" not in delta:
                yield delta["content"]
        elif provider == "ollama" and not (part := json.loads(line))["done"]:
            yield part["message"]["content"]


@BOTH
def test_a_text_may_be_given_with_its_tokens_and_headers(stubs, provider):
    stubs.behave(provider, "ok", text="Sí 100%.", tokens=7, prompt_tokens=3, headers={"x-extra": "1"})
    reply = ask(stubs, provider)
    assert (text_of(provider, reply), reply.headers["x-extra"]) == ("Sí 100%.", "1")
    content = reply.json()
    usage = content.get("usage") or {
        "prompt_tokens": content["prompt_eval_count"],
        "completion_tokens": content["eval_count"],
    }
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (3, 7)


@BOTH
@pytest.mark.parametrize("stream", [False, True])
def test_invalid_utf8_is_no_utf8_and_nothing_else_is_wrong_with_it(stubs, provider, stream):
    stubs.behave(provider, "invalid_utf8")
    body = ask(stubs, provider, stream=stream).content
    with pytest.raises(UnicodeDecodeError):
        body.decode()
    assert body.count(b"\xff\xfe") == 1
    mended = body.replace(b"\xff\xfe", b"")
    if stream:
        assert "".join(piece or "" for piece in streamed(provider, mended)) == "Las estrellas  callan."
    else:
        json.loads(mended)


@BOTH
def test_no_choices_leaves_out_the_answer_alone(stubs, provider):
    stubs.behave(provider, "no_choices")
    content = ask(stubs, provider).json()
    assert content["model"] == "m"
    assert not content.get("choices")
    assert "message" not in content


@pytest.mark.parametrize(("behaviour", "reason"), [("length", "length"), ("content_filter", "content_filter")])
@pytest.mark.parametrize("stream", [False, True])
def test_groq_says_why_it_stopped(stubs, behaviour, reason, stream):
    stubs.behave("groq", behaviour)
    body = ask(stubs, "groq", stream=stream).text
    assert re.findall(r'"finish_reason":"(\w+)"', body) == [reason]


@pytest.mark.parametrize("stream", [False, True])
def test_ollama_says_that_it_was_cut(stubs, ollama_client, stream):
    stubs.behave("ollama", "length")
    reply = ollama_client.chat("m", QUESTION, stream=stream)
    assert (list(reply)[-1] if stream else reply).done_reason == "length"


@BOTH
def test_html_empty_and_redirect(stubs, provider):
    stubs.behave(provider, ["html", "empty", "redirect"])
    assert ask(stubs, provider).headers["content-type"].startswith("text/html")
    empty = ask(stubs, provider)
    assert (empty.status_code, empty.content) == (200, b"")
    redirect = ask(stubs, provider)
    assert (redirect.status_code, redirect.headers["location"]) == (302, "/redirected")
    assert stubs.state()["strays"] == []
    httpx.get(stubs.url + redirect.headers["location"], **DIRECT)
    assert [stray["path"] for stray in stubs.state()["strays"]] == ["/redirected"]


# Faults of the socket and of HTTP.


@BOTH
@pytest.mark.parametrize("stream", [False, True])
def test_hang_sends_nothing_and_keeps_the_connection(stubs, provider, stream):
    stubs.behave(provider, "hang")
    assert raw(stubs, provider, stream=stream, seconds=0.4) == (b"", "open")
    assert eventually(lambda: stubs.requests(provider)[-1]["ended"]) == "disconnected"


@BOTH
@pytest.mark.parametrize("stream", [False, True])
def test_hang_after_headers_sends_the_headers_alone(stubs, provider, stream):
    stubs.behave(provider, "hang_after_headers")
    received, end = raw(stubs, provider, stream=stream, seconds=0.4)
    headers, body = split(received)
    assert (received[:15], body, end) == (b"HTTP/1.1 200 OK", b"", "open")
    assert "transfer-encoding" in headers if stream else int(headers["content-length"]) > 100


@BOTH
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("headers", [False, True])
def test_drip_sends_a_byte_at_a_time(stubs, provider, stream, headers):
    stubs.behave(provider, "drip", interval_ms=20, headers=headers)
    received, end = raw(stubs, provider, stream=stream, seconds=0.5)
    dripped = received if headers else split(received)[1]
    assert end == "open"
    assert 2 <= len(dripped) <= 25


@BOTH
def test_what_drips_is_in_the_end_a_whole_reply(stubs, provider):
    stubs.behave(provider, "drip", interval_ms=0.1)
    assert text_of(provider, ask(stubs, provider)) == TEXT


@BOTH
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("behaviour", "end"), [("reset", "reset"), ("close", "closed")])
def test_reset_and_close_come_in_the_middle_of_the_body(stubs, provider, stream, behaviour, end):
    stubs.behave(provider, behaviour)
    received, how = raw(stubs, provider, stream=stream)
    headers, body = split(received)
    assert how == end
    assert len(body) > 50
    assert not body.endswith(b"0\r\n\r\n") if stream else len(body) < int(headers["content-length"])
    assert stubs.requests(provider)[-1]["ended"] == "cut"


@BOTH
def test_a_length_that_is_too_small_cuts_and_one_too_big_never_ends(stubs, provider):
    stubs.behave(provider, [{"behaviour": "wrong_length"}, {"behaviour": "wrong_length", "off_by": 5}])
    for off_by in (-10, 5):
        received, end = raw(stubs, provider, seconds=0.3)
        headers, body = split(received)
        assert (int(headers["content-length"]) - len(body), end) == (off_by, "open")
        json.loads(body)


@BOTH
def test_garbage_is_no_http(stubs, provider):
    stubs.behave(provider, "garbage", size=100)
    received, end = raw(stubs, provider)
    assert (len(received), received[0], end) == (100, 0xFE, "closed")
    with pytest.raises(httpx.RemoteProtocolError):
        ask(stubs, provider)


@BOTH
@pytest.mark.parametrize("stream", [False, True])
def test_bad_chunk_breaks_after_a_good_one(stubs, provider, stream):
    stubs.behave(provider, "bad_chunk")
    received, end = raw(stubs, provider, stream=stream)
    headers, body = split(received)
    assert (headers["transfer-encoding"], body[:4], end) == ("chunked", b"28\r\n", "closed")
    assert "content-length" not in headers
    assert body[46:].startswith(b"zz;")
    with pytest.raises(httpx.RemoteProtocolError):
        ask(stubs, provider, stream=stream)


@BOTH
@pytest.mark.parametrize("stream", [False, True])
def test_gzip_bomb_unpacks_to_a_valid_reply_a_thousand_times_its_size(stubs, provider, stream):
    stubs.behave(provider, "gzip_bomb", mb=8)
    received, _ = raw(stubs, provider, stream=stream, seconds=0.5)
    headers, body = split(received)
    assert (headers["content-encoding"], int(headers["content-length"])) == ("gzip", len(body))
    unpacked = gzip.decompress(body)
    assert len(body) < 20_000
    assert len(unpacked) > 8 * MEGABYTE
    if stream:
        assert "".join(piece or "" for piece in streamed(provider, unpacked)) == TEXT
    else:
        assert TEXT in json.dumps(json.loads(unpacked), ensure_ascii=False)


@BOTH
@pytest.mark.parametrize("stream", [False, True])
def test_big_body_is_a_valid_reply_of_so_many_megabytes(stubs, provider, stream):
    stubs.behave(provider, "big_body", mb=5)
    reply = ask(stubs, provider, stream=stream)
    assert 5 * MEGABYTE < len(reply.content) == int(reply.headers["content-length"])
    if stream:
        assert "".join(piece or "" for piece in streamed(provider, reply.content)) == TEXT
    else:
        assert text_of(provider, reply) == TEXT


@BOTH
def test_big_header_is_one_header_of_so_many_kilobytes(stubs, provider):
    stubs.behave(provider, "big_header", kb=300)
    received, _ = raw(stubs, provider, seconds=0.5)
    headers, body = split(received)
    assert len(headers["x-padding"]) == 300 * 1024
    json.loads(body)


# Faults of a stream.


@BOTH
@pytest.mark.parametrize("after", [1, 3])
def test_stall_after_delta_goes_silent(stubs, provider, after):
    stubs.behave(provider, "stall_after_delta", after=after)
    received, end = raw(stubs, provider, stream=True, seconds=0.4)
    assert (len(list(streamed(provider, unchunked(received)))), end) == (after, "open")


@BOTH
@pytest.mark.parametrize(("rst", "end"), [(False, "closed"), (True, "reset")])
def test_break_mid_stream_ends_the_connection_without_a_last_chunk(stubs, provider, rst, end):
    stubs.behave(provider, "break_mid_stream", after=2, rst=rst)
    received, how = raw(stubs, provider, stream=True)
    assert how == end
    assert len(list(streamed(provider, unchunked(received)))) == 2
    assert not received.endswith(b"\r\n0\r\n\r\n")


def unchunked(received: bytes) -> bytes:
    """The body behind the chunked coding; the chunks are whole."""
    return b"".join(re.split(rb"\r\n[0-9a-f]+\r\n", b"\r\n" + split(received)[1])).removesuffix(b"\r\n")


def test_a_groq_stream_without_finish_or_without_done(stubs):
    stubs.behave("groq", ["no_finish", "no_done"])
    unfinished, endless = ask(stubs, "groq", stream=True).text, ask(stubs, "groq", stream=True).text
    assert ('"finish_reason":"stop"' in unfinished, "[DONE]" in unfinished) == (False, True)
    assert ('"finish_reason":"stop"' in endless, "[DONE]" in endless) == (True, False)
    for body in (unfinished, endless):
        assert "".join(piece or "" for piece in streamed("groq", body.encode())) == TEXT


def test_an_ollama_stream_without_finish_or_without_done(stubs, ollama_client):
    stubs.behave("ollama", ["no_finish", "no_done"])
    *_, unfinished = ollama_client.chat("m", QUESTION, stream=True)
    assert (unfinished.done, unfinished.done_reason) == (True, None)
    endless = list(ollama_client.chat("m", QUESTION, stream=True))
    assert not any(part.done for part in endless)
    assert "".join(part.message.content for part in endless) == TEXT


@pytest.mark.parametrize("form", ["data", "event"])
def test_a_groq_error_in_the_middle_reaches_the_official_client(stubs, groq_client, form):
    stubs.behave("groq", "error_mid_stream", after=2, form=form)
    pieces = []
    with pytest.raises(groq.APIError, match="Over capacity"):
        pieces.extend(groq_client.chat.completions.create(model="m", messages=QUESTION, stream=True))
    assert [chunk.choices[0].delta.content for chunk in pieces] == ["", "Las", " estrellas"]


def test_a_groq_chunk_may_say_why_the_stream_stops_early(stubs, groq_client):
    stubs.behave("groq", "error_mid_stream", form="x_groq")
    *_, last = groq_client.chat.completions.create(model="m", messages=QUESTION, stream=True)
    assert (last.choices, last.x_groq.error) == ([], "over_capacity")


def test_an_ollama_error_in_the_middle_reaches_the_official_client(stubs, ollama_client):
    stubs.behave("ollama", "error_mid_stream", after=2)
    pieces = []
    with pytest.raises(ollama.ResponseError, match="unexpected EOF"):
        pieces.extend(ollama_client.chat("m", QUESTION, stream=True))
    assert [part.message.content for part in pieces] == ["Las", " estrellas"]


@BOTH
def test_a_stream_fault_without_a_stream_is_an_error_not_a_healthy_reply(stubs, provider):
    stubs.behave(provider, "break_mid_stream")
    assert ask(stubs, provider).status_code == 501


# The controls.


def test_a_list_is_used_one_per_call_and_the_last_stays(stubs):
    stubs.behave("groq", [{"behaviour": "status", "code": 500}, {"behaviour": "status", "code": 429}, "ok"])
    assert [ask(stubs, "groq").status_code for _ in range(4)] == [500, 429, 200, 200]
    assert [ask(stubs, "ollama").status_code, stubs.calls("groq"), stubs.calls("ollama")] == [200, 4, 1]


def test_requests_are_recorded_as_they_came_and_the_last_fifty_are_kept(stubs, groq_client):
    groq_client.chat.completions.create(model="m", messages=QUESTION, max_tokens=9, extra_headers={"X-Mixed": "a"})
    request = stubs.requests("groq")[0]
    assert (request["method"], request["path"], request["ended"]) == ("POST", GROQ, "answered")
    assert (request["headers"]["authorization"], "x-mixed" in request["headers"]) == ("Bearer " + "k" * 20, True)
    assert request["body"] == {"model": "m", "messages": QUESTION, "max_tokens": 9}
    assert abs(time.time() - request["at"]) < 60

    for _ in range(55):
        ask(stubs, "groq")
    assert (stubs.calls("groq"), len(stubs.requests("groq"))) == (56, 50)


@BOTH
@pytest.mark.parametrize("stream", [False, True])
def test_latency_is_waited_before_the_first_byte_and_shows_as_in_flight(stubs, provider, stream):
    stubs.behave(provider, "ok", latency_ms=300)
    start = time.monotonic()
    assert ask(stubs, provider, stream=stream).status_code == 200
    assert time.monotonic() - start >= 0.3
    assert (stubs.state()[provider]["in_flight"], stubs.state()[provider]["max_in_flight"]) == (0, 1)


@BOTH
def test_deltas_may_come_one_by_one(stubs, provider):
    stubs.behave(provider, "ok", text="uno dos tres", delta_ms=100)
    start = time.monotonic()
    assert list(streamed(provider, ask(stubs, provider, stream=True).content)) == ["uno", " dos", " tres"]
    assert time.monotonic() - start >= 0.3


def test_reset_forgets_and_goes_back_to_the_first_behaviour():
    with StubProviders(groq='{"behaviour": "status", "code": 418}', latency_ms=50) as stubs:
        stubs.behave("groq", "ok")
        assert ask(stubs, "groq").status_code == 200
        stubs.reset()
        assert (stubs.calls("groq"), stubs.requests("groq"), stubs.state()["connections"]) == (0, [], 0)
        start = time.monotonic()
        assert ask(stubs, "groq").status_code == 418
        assert time.monotonic() - start >= 0.05


@pytest.mark.parametrize(
    ("provider", "behaviour", "parameters", "message"),
    [
        ("groq", "wobble", {}, "no behaviour 'wobble'"),
        ("groq", "hang", {"seconds": 1}, "hang: .*seconds"),
        ("groq", "status", {}, "status: .*code"),
        ("groq", "status", {"code": 99}, "200 to 599"),
        ("groq", [], {}, "empty"),
        ("groq", "not_pulled", {}, "only Ollama"),
        ("ollama", "content_filter", {}, "no content filter"),
        ("ollama", "error_mid_stream", {"form": "event"}, "no errors of the form"),
        ("groq", ["ok", "hang"], {"latency_ms": 5}, "belong to the entries"),
    ],
)
def test_a_wrong_behaviour_is_refused_and_changes_nothing(stubs, provider, behaviour, parameters, message):
    with pytest.raises(ValueError, match=message):
        stubs.behave(provider, behaviour, **parameters)
    assert ask(stubs, provider).status_code == 200


@pytest.mark.deep
@BOTH
def test_every_behaviour_leaves_the_server_able_to_answer_the_next_one(stubs, provider):
    parameters = {"status": {"code": 500}, "gzip_bomb": {"mb": 1}, "big_body": {"mb": 1}}
    others = {"content_filter"} if provider == "ollama" else {"not_pulled"}
    for behaviour in BEHAVIOURS.keys() - others:
        for stream in (False, True):
            stubs.behave(provider, behaviour, **parameters.get(behaviour, {}))
            with contextlib.suppress(httpx.HTTPError):
                ask(stubs, provider, stream=stream, timeout=0.1)
    stubs.behave(provider, "ok")
    assert text_of(provider, ask(stubs, provider)) == TEXT
    assert eventually(lambda: stubs.state()[provider]["in_flight"] == 0)


def test_pipelined_requests_are_answered_in_order(stubs):
    stubs.behave("ollama", [{"behaviour": "ok", "text": "uno", "latency_ms": 100}, {"behaviour": "ok", "text": "dos"}])
    body = json.dumps({"model": "m", "messages": QUESTION, "stream": False}).encode()
    request = b"POST %b HTTP/1.1\r\nhost: stub\r\ncontent-length: %d\r\n" % (OLLAMA.encode(), len(body))
    with open_socket(stubs) as sock:
        sock.sendall(request + b"\r\n" + body + request + b"connection: close\r\n\r\n" + body)
        received = b"".join(iter(lambda: sock.recv(65536), b""))
    assert re.findall(rb'"content":"(\w+)"', received) == [b"uno", b"dos"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_program_ends_cleanly_on_a_signal_even_with_a_client_hanging(number):
    stubs = StubProviders(groq="hang")
    with open_socket(stubs) as sock:
        sock.sendall(b"POST " + GROQ.encode() + b" HTTP/1.1\r\ncontent-length: 5\r\n\r\n{")
        os.kill(stubs._process.pid, number)
        assert stubs._process.wait(timeout=5) == 0
    assert stubs.stop() == 0


def test_the_program_ends_with_its_standard_input():
    stubs = StubProviders()
    stubs._process.stdin.close()
    assert stubs._process.wait(timeout=5) == 0
    stubs.stop()


def test_a_program_that_cannot_start_says_so():
    with pytest.raises(RuntimeError, match="exit code 2"):
        StubProviders(groq="wobble")


def eventually(check):
    """The first true value of `check`, or its last one after two seconds."""
    end = time.monotonic() + 2
    while not (value := check()) and time.monotonic() < end:
        time.sleep(0.01)
    return value
