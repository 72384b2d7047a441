"""What a provider may do wrong, and what must be recorded of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

ROOM = {"x-ratelimit-remaining-tokens": "5800"}
"""A stub's 429 says, as Groq does, that there are no tokens left for 2 s; here the next question is asked at once."""
TOO_DEEP = "[" * 100_000
CONTENT = '"content": "Sí."'


@dataclass(frozen=True)
class Fault:
    """A behaviour of the stub providers (loadtests/stubs) and the reason that is recorded for it.

    `again`: a second try may help, so there is one. `shown`: a streaming client has seen some of the text by then, so
    there is none. `only`: the part of "provider mode" that it is for.
    """

    name: str
    behaviour: str
    parameters: dict[str, Any]
    reason: str
    status: int | None = None
    again: bool = False
    shown: bool = False
    only: str = ""

    def tries(self, mode: str) -> int:
        """How often the provider is called, with two tries allowed."""
        return 2 if self.again and not (self.shown and mode == "stream") else 1


@dataclass(frozen=True)
class Quirk:
    """What is odd but no reason to go to the next tier."""

    name: str
    behaviour: str
    parameters: dict[str, Any] = field(default_factory=dict)
    only: str = ""
    response: str = "Las estrellas dicen que sí, pero el camino pide paciencia."


def status(code: int, reason: str, *, again: bool = False) -> Fault:
    """A status without Retry-After."""
    headers = {"retry-after": None} | ROOM
    return Fault(f"status {code}", "status", {"code": code, "headers": headers}, reason, code, again=again)


def retry_after(name: str, value: str) -> Fault:
    """A 429 that wants no wait, or says nothing that could be understood: tried again soon."""
    parameters = {"code": 429, "headers": {"retry-after": value} | ROOM}
    return Fault(f"retry-after {name}", "status", parameters, "rate_limited", 429, again=True)


def said(name: str, body: str, reason: str = "malformed_response", *, only: str = "", again: bool = False) -> Fault:
    """These bytes under status 200."""
    return Fault(name, "status", {"code": 200, "body": body}, reason, again=again, only=only)


def spoilt(name: str, behaviour: str, reason: str = "malformed_response", **more: Any) -> Fault:
    """Everything else; what is no field of a fault is a parameter of the behaviour."""
    known = {key: more.pop(key) for key in ("status", "again", "shown", "only") if key in more}
    return Fault(name, behaviour, more, reason, **known)


FAULTS = [
    status(400, "bad_request"),
    status(404, "bad_request"),
    status(408, "server_error", again=True),
    status(409, "server_error", again=True),
    status(413, "bad_request"),
    status(418, "bad_request"),
    status(422, "bad_request"),
    status(424, "server_error"),
    status(429, "rate_limited", again=True),
    status(498, "rate_limited", again=True),
    status(499, "server_error"),
    status(500, "server_error", again=True),
    status(502, "server_error", again=True),
    status(503, "server_error", again=True),
    status(504, "server_error", again=True),
    status(599, "server_error", again=True),
    status(202, "malformed_response"),
    status(204, "malformed_response"),
    status(206, "malformed_response"),
    status(304, "malformed_response"),
    retry_after("0", "0"),
    retry_after("negative", "-5"),
    retry_after("a word", "soon"),
    retry_after("nothing", ""),
    retry_after("hexadecimal", "0x10"),
    retry_after("nan", "nan"),
    retry_after("inf", "inf"),
    retry_after("1e400", "1e400"),
    retry_after("a past date", "Wed, 21 Oct 2015 07:28:00 GMT"),
    retry_after("no date", "Tue, 99 Foo 2023 22:13:25 GMT"),
    retry_after("a zone out of this world", "Mon, 01 Jan 2029 00:00:00 +9999999999999999"),
    spoilt("the model is loading", "loading", "server_error", status=503, again=True),
    spoilt("the model is not pulled", "not_pulled", "bad_request", status=404, only="ollama"),
    # The connection and HTTP.
    spoilt("hang", "hang", "timeout"),
    spoilt("hang after the headers", "hang_after_headers", "timeout"),
    spoilt("a byte a second", "drip", "timeout", interval_ms=1_000),
    spoilt("ten bytes a second from the first on", "drip", "timeout", interval_ms=100, headers=True),
    spoilt("reset before a byte", "reset", "connection", at="start", again=True),
    spoilt("reset in the head", "reset", "connection", at="head", again=True),
    spoilt("reset in the body", "reset", "connection", again=True, shown=True),
    spoilt("close before a byte", "close", "connection", at="start", again=True),
    spoilt("close in the head", "close", "connection", at="head", again=True),
    spoilt("close before the length", "close", "connection", again=True, shown=True),
    spoilt("length too small", "wrong_length", off_by=-10, only="plain"),
    spoilt("length too small", "wrong_length", off_by=-10, only="ollama stream", shown=True),
    spoilt("length much too small", "wrong_length", off_by=-300, shown=True, only="stream"),
    spoilt("length too big", "wrong_length", "timeout", off_by=5, only="plain"),
    spoilt("two lengths", "ok", headers={"Content-Length": "5"}, only="plain"),
    spoilt("the length is a word", "ok", headers={"Content-Length": "long"}, only="plain"),
    spoilt("a bad chunk", "bad_chunk"),
    spoilt("no HTTP", "garbage"),
    spoilt("100 kB that are no HTTP", "garbage", size=100_000),
    spoilt("gzip bomb", "gzip_bomb"),
    spoilt("10 MB", "big_body", mb=10),
    spoilt("10 MB without a length", "big_body", mb=10, chunked=True),
    spoilt("a header of 1 MB", "big_header", kb=1024),
    spoilt("redirect 302", "redirect", status=302),
    spoilt("redirect 307", "redirect", status=307, code=307),
    spoilt("redirect 308 to another host", "redirect", status=308, code=308, location="http://192.0.2.1/"),
    spoilt("100 and no more", "interim", "timeout", reply=False),
    spoilt("101", "interim", status=101, code=101),
    # What is said.
    spoilt("HTML", "html"),
    spoilt("nothing", "empty"),
    spoilt("wrong types", "wrong_types"),
    spoilt("no choices or message", "no_choices"),
    spoilt("null content", "null_content", "empty_answer"),
    spoilt("empty content", "empty_content", "empty_answer"),
    spoilt("white space", "whitespace", "empty_answer", shown=True),
    spoilt("too long", "too_long", shown=True),
    spoilt("invalid UTF-8", "invalid_utf8", shown=True),
    spoilt("refused by the content filter", "content_filter", "refused", only="groq"),
    said("a list", "[]"),
    said("null", "null"),
    said("half of an object", '{"choices": [{"message": {"content": "Las estr'),
    said("choices that are an object", '{"choices": {}, "message": []}'),
    said("choices that are null", '{"choices": [null], "message": null}', only="plain"),
    said("a lone surrogate", '{"choices": [{"message": {"content": "\\ud800"}}], "message": {"content": "\\ud800"}}'),
    said("too deep, where the answer should be", '{"choices": [{"message": {"content": ' + TOO_DEEP),
    said("too deep, in an unknown field", '{"unknown": ' + TOO_DEEP),
    said("too deep, in a chunk", 'data: {"choices": [{"delta": {"content": ' + TOO_DEEP + "\n\n"),
    said("an error under status 200", '{"error": {"code": 503}}', "server_error", only="plain", again=True),
    said("an end and nothing before", "data: [DONE]\n\n"),
    said("NUL alone", '{"choices": [{"message": {"content": "\\u0000"}}]}', "empty_answer", only="groq plain"),
    # Streams.
    spoilt("silence after the first piece", "stall_after_delta", "timeout", shown=True, only="stream"),
    spoilt("piece by piece, too slowly", "ok", "timeout", text="luna " * 99, delta_ms=50, shown=True, only="stream"),
    spoilt("closed before the first piece", "break_mid_stream", "connection", after=0, again=True, only="stream"),
    spoilt("closed after a piece", "break_mid_stream", "connection", after=1, shown=True, only="stream"),
    spoilt("reset after three", "break_mid_stream", "connection", after=3, rst=True, shown=True, only="stream"),
    spoilt("no reason for the end", "no_finish", shown=True, only="stream"),
    spoilt("no end", "no_done", shown=True, only="ollama stream"),
    spoilt("an error before the first piece", "error_mid_stream", "server_error", after=0, again=True, only="stream"),
    spoilt("an error after a piece", "error_mid_stream", "server_error", shown=True, only="stream"),
    spoilt("an error event", "error_mid_stream", "server_error", form="event", shown=True, only="groq stream"),
    spoilt("an error in x_groq", "error_mid_stream", "server_error", form="x_groq", shown=True, only="groq stream"),
]  # fmt: skip

BLOCKING = [
    # After these the provider is left alone for long.
    Fault("status 401", "status", {"code": 401}, "unauthorized", 401),
    Fault("status 403", "status", {"code": 403}, "unauthorized", 403),
    *(
        Fault(f"retry-after {name}", "status", {"code": 429, "headers": headers | ROOM}, "rate_limited", 429)
        for name, headers in {
            "an hour": {"retry-after": "3600"},
            "1e9": {"retry-after": "1000000000"},
            "1e308": {"retry-after": "1e308"},
            "in the last year": {"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"},
            "in milliseconds": {"retry-after-ms": "3600000", "retry-after": None},
        }.items()
    ),
    Fault("retry-after with 503", "status", {"code": 503, "headers": {"retry-after": "3600"}}, "server_error", 503),
]

_COMPLETION = f'{{"choices": [{{"message": {{{CONTENT}}}, "finish_reason": "stop"}}], "message": {{{CONTENT}}}'
QUIRKS = [
    Quirk("100 before the reply", "interim"),
    Quirk("103 before the reply", "interim", {"code": 103}),
    Quirk("a header of 256 kB", "big_header", {"kb": 256}),
    Quirk("NUL in the text", "nul", response="Las estrellas callan."),
    Quirk("1 ms a byte", "drip", {"interval_ms": 0.1}),
    Quirk("no [DONE]", "no_done", only="groq stream"),
    Quirk("length too small for [DONE]", "wrong_length", {"off_by": -10}, only="groq stream"),
    Quirk("length too big", "wrong_length", {"off_by": 5}, only="stream"),
    Quirk("a length beside chunks", "ok", {"headers": {"Content-Length": "5"}}, only="stream"),
    *(
        Quirk(name, "status", {"code": 200, "body": _COMPLETION + more}, only="plain", response="Sí.")
        for name, more in {
            "unknown fields": ', "done_reason": "stop", "unknown": [{"a": [1, null]}]}',
            "a model of another name": ', "model": "' + "m" * 1_000 + '"}',
            "more tokens than there are": f', "usage": {{"prompt_tokens": {10**30}, "completion_tokens": 1}}, '
            f'"prompt_eval_count": {10**30}, "eval_count": 1}}',
            "fewer tokens than none": ', "usage": {"prompt_tokens": -7, "completion_tokens": -9000000000000}, '
            '"prompt_eval_count": -7, "eval_count": -1}',
        }.items()
    ),
    Quirk(
        "comments, CRLF and no space after data:",
        "status",
        {
            "code": 200,
            "body": ": ping\r\n\r\nid: 7\r\nretry: 5\r\n"
            'data:{"choices": [{"index": 0, "delta": {"content": "Sí."}}]}\r\n\r\n: ping\r\n\r\n'
            'data:{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\r\n\r\ndata:[DONE]\r\n\r\n',
        },
        only="groq stream",
        response="Sí.",
    ),
    Quirk(
        "CRLF between the lines",
        "status",
        {"code": 200, "body": f'{{"message": {{{CONTENT}}}}}\r\n\r\n{{"done": true, "done_reason": "stop"}}\r\n'},
        only="ollama stream",
        response="Sí.",
    ),
]


def cases(table: Iterable[Any]) -> list[tuple[Any, str, str]]:
    """Each with every provider and mode that it is for."""
    places = [(provider, mode) for provider in ("groq", "ollama") for mode in ("plain", "stream")]
    return [(it, provider, mode) for it in table for provider, mode in places if it.only in f"{provider} {mode}"]
