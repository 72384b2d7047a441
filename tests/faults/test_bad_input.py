"""Whatever is sent to the port, the answer is a 4xx at worst, and the service goes on.

What is no HTTP at all is refused by the server in front of the application: 400, plain text, and the connection ends.
Everything that reaches the application is refused as a problem (RFC 9457).
"""

import http.client
import io
import itertools
import json
import random
import socket
import string
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.service import RunningService

QUESTION = {"question": "¿Sí?", "personality": "wise", "language": "es", "sessionId": None}
BODY = json.dumps(QUESTION).encode()
SILENCE_SECONDS = 1.0
"""Whoever says nothing for so long waits for more of a request."""
SEED = 20260131


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes


class _Received:
    """As much of a socket as the response parser wants."""

    def __init__(self, data: bytes, method: str) -> None:
        self._method = method
        self._file = io.BufferedReader(io.BytesIO(data))  # type: ignore[arg-type]

    def makefile(self, mode: str) -> io.BufferedReader:
        return self._file

    def replies(self) -> Iterator[Reply]:
        self._file.close = lambda: None  # type: ignore[method-assign]  # the next response is behind this one
        while self._file.peek(1):
            response = http.client.HTTPResponse(self, method=self._method)  # type: ignore[arg-type]
            response.begin()
            headers = {name.lower(): value for name, value in response.getheaders()}
            yield Reply(response.status, headers, response.read())


def send(service: RunningService, data: bytes) -> list[Reply]:
    """Everything that comes back for these bytes, until the connection ends or nothing more comes."""
    address = urlsplit(service.url)
    received = bytearray()
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        try:
            connection.sendall(data)
            connection.settimeout(SILENCE_SECONDS)
            while piece := connection.recv(65_536):
                received += piece
        except (TimeoutError, ConnectionError):
            pass
    method = "HEAD" if data.startswith(b"HEAD ") else "POST"
    return list(_Received(bytes(received), method).replies())


def request(
    body: bytes = BODY,
    *,
    method: str = "POST",
    target: str | bytes = "/ouija/ask",
    version: str = "HTTP/1.1",
    headers: list[tuple[str, str | bytes]] | None = None,
    length: bool = True,
    close: bool = True,
) -> bytes:
    """A request as bytes; `headers` come instead of the content type."""
    to = target if isinstance(target, bytes) else target.encode()
    lines = [method.encode() + b" " + to + b" " + version.encode(), b"host: 127.0.0.1"]
    for name, value in [("content-type", "application/json")] if headers is None else headers:
        lines.append(name.encode() + b": " + (value if isinstance(value, bytes) else value.encode()))
    if length:
        lines.append(b"content-length: %d" % len(body))
    if close:
        lines.append(b"connection: close")
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def with_headers(*headers: tuple[str, str | bytes]) -> bytes:
    return request(headers=[("content-type", "application/json"), *headers])


def framed(*headers: str, body: bytes) -> bytes:
    """A request that says itself how its body is framed."""
    return request(body, headers=[("content-type", "application/json"), *(split(it) for it in headers)], length=False)


def split(header: str) -> tuple[str, str]:
    name, _, value = header.partition(": ")
    return name, value


def bad_bodies() -> Iterator[bytes]:
    """No JSON object, or not a question."""
    yield from (BODY[:cut] for cut in range(len(BODY)))
    yield from (BODY + tail for tail in (b"{", b"}", b",", b"\x00", b"null", BODY))
    noise = random.Random(SEED)
    yield from (noise.randbytes(noise.randrange(1, 400)) for _ in range(60))
    yield from (encoded for name in ("utf-16", "utf-32", "utf-16-le") for encoded in [BODY.decode().encode(name)])
    yield from (b"\xef\xbb\xbf" * 2 + BODY, b"[" * 8_000, b'{"question":' * 1_300, b'{"a":' + b"[" * 8_000)
    values: list[Any] = [
        None,
        True,
        0,
        -1,
        1.5,
        10**400,
        "",
        " ",
        [],
        {},
        ["a"],
        {"a": "a"},
        "a\0",
        "\ud800",
        "a" * 501,
    ]
    for name in ("question", "personality", "language", "sessionId"):
        for value in values:
            if value is None and name != "question":
                continue
            yield json.dumps(QUESTION | {name: value}).encode()
    for name in ("__proto__", "constructor", "Question", "QUESTION", "question ", "session_id", "", "\0", "a" * 9_000):
        yield json.dumps(QUESTION | {name: "x"}).encode()
    yield b'{"question": "a", "question": 7}'
    yield b'{"question": NaN}'
    yield b'{"question": Infinity}'
    yield b"{'question': 'a'}"
    yield b'{"question": "a" /* no */}'
    yield b'{"question": "\\u12"}'
    yield b'{"question": "\xed\xa0\x80"}'
    yield b'{"question": "\xc0\xaf"}'
    yield b"question=a"
    yield b"<question>a</question>"
    yield b" " * 16_385
    yield b'{"question": "' + b"a" * 20_000 + b'"}'


def bad_headers() -> Iterator[bytes]:
    for kind in (
        *("", "application", "application/", "/json", "application/jsonx", "application/json-patch+json", "text/json"),
        *("application/problem+json", "multipart/form-data; boundary=x", "application/json; charset=utf-16", "*/*"),
        *("application/json; charset=utf-8; charset=latin-1", "application/json, text/plain", "a" * 5_000, "\xff"),
        "application/json;" + ";" * 3_000 + "x",
    ):
        yield request(headers=[("content-type", kind.encode("latin-1"))])
    yield request(headers=[])
    for encoding in ("gzip", "deflate", "br", "identity, gzip", "x" * 4_000, "zstd"):
        yield with_headers(("content-encoding", encoding))
    for accept in ("image/png", "text/html", "application/xml;q=0.9", "application/json;q=0", "text/event-stream;q=0"):
        yield with_headers(("accept", accept))
    for key in ("", "a", "k" * 15, "k" * 256, "k" * 5_000, b"\xc3\xb1" * 10, b"\xff" * 20, "a b\tc" * 5):
        yield with_headers(("idempotency-key", key))
    yield with_headers(("bad name", "x"))
    yield with_headers(("na\0me", "x"))
    yield with_headers(("x", b"a\0b"))
    yield with_headers(("", "x"))
    yield with_headers(("x\x7f", "x"))
    yield request().replace(b"host: ", b"host ")
    yield request().replace(b"host: ", b"host : ")
    yield request().replace(b"\r\nhost", b"\r\n host")
    yield request().replace(b"\r\nhost", b"\r\n\thost")
    yield request().replace(b"\r\n", b"\r")
    yield request().replace(b"host: 127.0.0.1", b"\xff\xfe: 1")


def bad_targets() -> Iterator[bytes]:
    """Paths that lead nowhere, however they are written."""
    paths = [
        *("/ouija//ask", "/ouija/ask/..", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd"),
        *("/%00", "/ouija/ask%00", "/%ff%fe", "/%zz", "/%", "/%e0%80%80", "/ouija/ask;a=b", "/OUIJA/ASK", "/ouija"),
        *(
            "/api/docs/../../pyproject.toml",
            "/api/docs/%2e%2e%2fpyproject.toml",
            "/api/docs/..%5c..%5cx",
            "/api/docs/%00",
        ),
        *(
            "/api/docs/" + "a" * 3_000,
            "/audit/sessions/x",
            "/audit/questions/%00",
            "/audit/sessions/" + "0" * 36,
            "/.env",
        ),
        *("/ouija.db", "/data/ouija.db", "/{7*7}", "/ouija/ask/" + "a/" * 2_000, "/" + "a" * 30_000, "/<script>", "/~"),
    ]
    for method, path in itertools.product(("GET", "POST"), paths):
        yield request(method=method, target=path)
    for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "MKCOL", "PURGE", "LINK", "QUERY"):
        yield request(method=method)
    for method in ("post", "FOO", "P" * 5_000, "PO ST", "", "\0", "ÑANDÚ", "GET\tGET"):
        yield request(method=method)
    for target in (b"", b" ", b"ouija/ask", b"\xff\xfe", b"/a b", b"/\0", b"http://", b"127.0.0.1:80", b"\\ouija\\ask"):
        yield request(target=target)
    for version in (
        "HTTP/9.9",
        "HTTP/1",
        "HTTP/1.1.1",
        "HTTPS/1.1",
        "http/1.1",
        "",
        "HTTP/-1.1",
        "HTTP/0.9",
        "HTTP/2.0",
        "HTTP/1.1 x",
    ):
        yield request(version=version)
    yield request(method="CONNECT", target="example.org:443")


def bad_framing() -> Iterator[bytes]:
    """Bodies whose length is in doubt: what lets one server see one request and the next server two."""
    smuggled = b"GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n"
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
    size = f"content-length: {len(BODY)}"
    both = "transfer-encoding: chunked"
    yield framed(both, "content-length: 4", body=chunked + smuggled)
    yield framed("content-length: 4", both, body=chunked + smuggled)
    yield framed("content-length: 6", both, body=b"0\r\n\r\nG" + smuggled)
    yield framed(size, size.replace(str(len(BODY)), "4"), body=BODY + smuggled)
    yield framed(f"{size}, 4", body=BODY + smuggled)
    for value in ("-1", "+5", "0x5", "5 5", "1e3", "5,5", "٥", "", "a", "18446744073709551616", "9" * 40, "1.0"):
        yield framed(f"content-length: {value}", body=BODY + smuggled)
    for value in ("xchunked", "chunked, identity", "identity", "chunked;q=1", "gzip", "\x0bchunked", "chunke d", "cow"):
        yield framed(f"transfer-encoding: {value}", size, body=chunked + smuggled)
    yield framed("transfer-encoding : chunked", size, body=chunked + smuggled)
    yield framed("transfer-encoding: chunked", "transfer-encoding: cow", size, body=chunked + smuggled)
    for bad in (
        b"zz\r\n",
        b"-1\r\n",
        b"+5\r\n",
        b"0x5\r\n",
        b"\r\n",
        b"g\r\n",
        b"5;\0\r\n",
        b"f" * 40 + b"\r\n",
        b" 5\r\n",
    ):
        yield framed(both, body=bad + BODY + b"\r\n0\r\n\r\n" + smuggled)
    yield framed(both, body=b"5\r\n" + BODY + b"\r\n0\r\n\r\n" + smuggled)
    yield framed(both, body=b"%x\r\n%bXX0\r\n\r\n" % (len(BODY), BODY) + smuggled)
    yield framed(both, body=b"%x\n%b\n0\n\n" % (len(BODY), BODY) + smuggled)
    yield framed(both, body=b"4001\r\n" + b" " * 0x4001 + b"\r\n0\r\n\r\n")
    yield framed(both, body=b"1\r\n \r\n" * 16_386 + b"0\r\n\r\n")


def no_http() -> Iterator[bytes]:
    yield b"GET /\r\n\r\n"  # HTTP/0.9
    yield b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    yield bytes.fromhex("16030100c8010000c40303") + bytes(200)  # TLS
    yield b"SSH-2.0-OpenSSH_9.2\r\n"
    yield b"*1\r\n$4\r\nPING\r\n"
    yield b"EHLO x\r\nMAIL FROM:<a@b>\r\n"
    yield b"\0" * 100
    yield b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00"
    noise = random.Random(SEED)
    yield from (noise.randbytes(noise.randrange(2, 2_000)) + b"\r\n\r\n" for _ in range(40))
    letters = string.ascii_letters + " :/\r\n"
    yield from ("".join(noise.choices(letters, k=300)).encode() + b"\r\n\r\n" for _ in range(20))


BAD = {
    "bodies": [request(body) for body in bad_bodies()],
    "headers": list(bad_headers()),
    "targets": list(bad_targets()),
    "framing": list(bad_framing()),
    "no HTTP": list(no_http()),
}


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """Answers from the table: no provider matters here."""
    with RunningService(tmp_path_factory.mktemp("data")) as running:
        yield running
        assert running.process.poll() is None
        assert "Traceback" not in running.log
        assert "bug" not in running.log


def assert_well(service: RunningService) -> None:
    assert service.client.get("/health").status_code == 200
    assert service.ask("¿Sigues ahí?").status_code == 200


def assert_refused(reply: Reply, shown: bytes) -> None:
    assert 400 <= reply.status < 500, f"{reply.status} for {shown!r}"
    if "x-trace-id" in reply.headers:  # the application's own
        assert reply.headers["content-type"] == "application/problem+json", shown
        if reply.body:  # not for HEAD
            problem = json.loads(reply.body)
            assert problem["status"] == reply.status
            assert len(reply.body) < 4_000
    else:
        assert reply.status == 400
        assert reply.headers["content-type"].startswith("text/plain")
        assert reply.body == b"Invalid HTTP request received."
        assert reply.headers["connection"] == "close"


def test_there_are_enough_of_them() -> None:
    assert sum(map(len, BAD.values())) >= 300
    assert all(len(set(requests)) == len(requests) for requests in BAD.values())


ODD = {
    "HTTP/1.0": request(version="HTTP/1.0", close=False),
    "an absolute target": request(target="http://example.org/ouija/ask"),
    "another server's absolute target": request(target="https://127.0.0.1:1/ouija/ask?x=y#z"),
    "an empty path segment in front": request(target="///ouija/ask"),
    "a slash behind": request(target="/ouija/ask/"),
    "a query": request(target="/ouija/ask?" + "a=b&" * 2_000),
    "percent signs": request(target="/%6fuija/ask"),
    "no host": request().replace(b"host: 127.0.0.1\r\n", b""),
    "two hosts": with_headers(("host", "example.org")),
    "64 KB of one header": with_headers(("x-padding", "a" * 65_536)),
    "2000 headers": with_headers(*((f"x-{number}", "a") for number in range(2_000))),
    "the same header often": with_headers(*(("accept-language", "en;q=0.5, es") for _ in range(500))),
    "a header of nonsense": with_headers(("accept-language", ";q=;;=,\xff".encode("latin-1") * 99)),
    "a traceparent of nonsense": with_headers(("traceparent", "00-" + "z" * 32 + "-1-1")),
    "a forwarded address of nonsense": with_headers(("x-forwarded-for", "'; DROP TABLE x, ::1%eth0, [")),
    "an expectation": with_headers(("expect", "100-continue")),
    "chunks of one byte": framed(
        "transfer-encoding: chunked",
        "connection: close",
        body=b"".join(b"1\r\n%c\r\n" % it for it in BODY) + b"0\r\n\r\n",
    ),
    "a chunk extension and a trailer": framed(
        *("transfer-encoding: chunked", "connection: close"),
        body=b"%x;a=b\r\n%b\r\n0\r\nx-trailer: 1\r\n\r\n" % (len(BODY), BODY),
    ),
    "a wish to upgrade": with_headers(("upgrade", "h2c"), ("http2-settings", "AAMAAABkAARAAAAAAAIAAAAA")),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_merely_odd_is_answered(board: RunningService, name: str) -> None:
    replies = send(board, ODD[name])

    assert [reply.status for reply in replies if reply.status != 100] == [200], name
    assert json.loads(replies[-1].body)["question"] == "¿Sí?"


def test_requests_in_one_go_are_answered_in_their_order(board: RunningService) -> None:
    questions = [f"¿{number}?" for number in range(20)]
    asks = [request(json.dumps(QUESTION | {"question": it}).encode(), close=False) for it in questions]
    bad = request(b"{", close=False)

    replies = send(board, b"".join([*asks[:10], bad, *asks[10:]]))

    assert [reply.status for reply in replies] == [200] * 10 + [400] + [200] * 10
    del replies[10]
    assert [json.loads(reply.body)["question"] for reply in replies] == questions


def test_nothing_behind_an_unreadable_request_is_answered(board: RunningService) -> None:
    replies = send(board, request(close=False) + b"\0\r\n\r\n" + request())

    assert [reply.status for reply in replies] in ([200, 400], [400])


@pytest.mark.parametrize("cut", [0, 1, 20, 60, 120, -40, -1])
def test_who_hangs_up_in_the_middle_leaves_nothing_behind(board: RunningService, cut: int) -> None:
    address = urlsplit(board.url)
    for _ in range(20):
        with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
            connection.sendall(request()[:cut])
    assert_well(board)


@pytest.mark.parametrize("kind", BAD)
def test_what_is_wrong_is_refused_and_nothing_else_happens(board: RunningService, kind: str) -> None:
    with ThreadPoolExecutor(8) as clients:
        outcomes = list(clients.map(lambda data: send(board, data), BAD[kind]))

    for data, replies in zip(BAD[kind], outcomes, strict=True):
        shown = data[:150] + data[-60:]
        assert len(replies) == 1, f"{[reply.status for reply in replies]} for {shown!r}"
        assert_refused(replies[0], shown)
    assert_well(board)
