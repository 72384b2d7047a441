"""Faults of the socket and of HTTP. Each takes a wire and gives what is sent for an ask."""

import functools
import itertools
import random
import struct
import zlib
from collections.abc import Iterator

from loadtests.stubs.speak import Speak
from loadtests.stubs.wire import LAST_CHUNK, Answer, Ask, End, Headers, Said, Script, Step, Wire, chunk, head
from loadtests.stubs.wire import response as respond

MEGABYTE = 1024 * 1024
MOMENT_SECONDS = 0.02  # lets what was sent arrive before the connection ends


def hang(_wire: Wire) -> Answer:
    """Accepts and never answers."""
    return lambda _ask: [End.HANG]


def hang_after_headers(wire: Wire) -> Answer:
    healthy = Speak(wire, Said())

    def answer(ask: Ask) -> Script:
        size: Headers = {} if ask.stream else {"content-length": str(len(healthy.plain(ask)))}
        return [head(200, {**healthy.headers(ask), **size}), End.HANG]

    return answer


def drip(wire: Wire, *, interval_ms: float = 100, headers: bool = False) -> Answer:
    """One byte every `interval_ms` of the body, or with `headers` of the whole response."""
    healthy = Speak(wire, Said())

    def answer(ask: Ask) -> Iterator[Step]:
        whole = healthy.whole(ask)
        start = 0 if headers else whole.index(b"\r\n\r\n") + 4
        if start:
            yield whole[:start]
        for at in range(start, len(whole)):
            yield interval_ms / 1000
            yield whole[at : at + 1]

    return answer


def reset(wire: Wire, *, at: str = "body") -> Answer:
    """RST in the middle of the `body`, of the `head`, or before a first byte (`start`)."""
    return _cut(wire, End.RESET, at)


def close(wire: Wire, *, at: str = "body") -> Answer:
    """FIN there; in the body that is before content-length, or the last chunk, is reached."""
    return _cut(wire, End.CLOSE, at)


def _cut(wire: Wire, end: End, at: str) -> Answer:
    if at not in ("start", "head", "body"):
        raise ValueError("at is start, head or body")
    healthy = Speak(wire, Said())

    def answer(ask: Ask) -> Script:
        whole = healthy.whole(ask)
        body = whole.index(b"\r\n\r\n") + 4
        sent = {"start": 0, "head": body // 2, "body": (body + len(whole)) // 2}[at]
        return [whole[:sent], MOMENT_SECONDS, end]

    return answer


def interim(wire: Wire, *, code: int = 100, reply: bool = True) -> Answer:
    """An informational response (RFC 9110 §15.2) that nobody asked for, then the healthy reply, or nothing more."""
    healthy = Speak(wire, Said())

    def answer(ask: Ask) -> Script:
        return [head(code, {}), healthy.whole(ask) if reply else End.HANG]

    return answer


def wrong_length(wire: Wire, *, off_by: int = -10) -> Answer:
    """Content-length is off: too small, the rest lies in front of the next response; too big, the end never comes."""
    healthy = Speak(wire, Said())

    def answer(ask: Ask) -> bytes:
        return respond(200, _sized(healthy.headers(ask)), healthy.body(ask), off_by=off_by)

    return answer


def garbage(_wire: Wire, *, size: int = 512) -> Answer:
    """Random bytes instead of HTTP, the same each time."""
    noise = b"\xfe" + random.Random(1).randbytes(size - 1)
    return lambda _ask: [noise, MOMENT_SECONDS, End.CLOSE]


def bad_chunk(wire: Wire) -> Answer:
    """A good chunk, then one whose size is no number."""
    healthy = Speak(wire, Said())

    def answer(ask: Ask) -> Script:
        start = head(200, {**healthy.headers(ask), "transfer-encoding": "chunked"})
        return [start + chunk(healthy.body(ask)[:40]) + b"zz;\r\n\xff\xfe\r\n", MOMENT_SECONDS, End.CLOSE]

    return answer


def gzip_bomb(wire: Wire, *, mb: int = 64) -> Answer:
    """A valid reply behind `mb` megabytes of spaces, gzipped to a thousandth: who accepts it has unpacked it all."""
    healthy = Speak(wire, Said())

    def answer(ask: Ask) -> bytes:
        before, after = wire.padding if ask.stream else (b"", b"")
        body = _bomb(mb, before, after + healthy.body(ask))
        return respond(200, {**_sized(healthy.headers(ask)), "content-encoding": "gzip"}, body)

    return answer


@functools.lru_cache(maxsize=4)
def _bomb(mb: int, before: bytes, after: bytes) -> bytes:
    """One megabyte is deflated and repeated, which a full flush allows: the server must not stop to pack them all."""
    packer, spaces, crc = zlib.compressobj(9, wbits=-15), b" " * MEGABYTE, zlib.crc32(before)
    first = packer.compress(before) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(spaces) + packer.flush(zlib.Z_FULL_FLUSH)
    last = packer.compress(after) + packer.flush()
    for _ in range(mb):
        crc = zlib.crc32(spaces, crc)
    size = len(before) + mb * MEGABYTE + len(after)
    start = bytes.fromhex("1f8b08000000000000ff")  # RFC 1952: deflate, no flags, no time, any system
    return start + first + again * mb + last + struct.pack("<II", zlib.crc32(after, crc), size % 2**32)


def big_body(wire: Wire, *, mb: int = 64, chunked: bool = False) -> Answer:
    """A valid reply behind `mb` megabytes of spaces; `chunked` does not tell its length before."""
    healthy, spaces = Speak(wire, Said()), b" " * MEGABYTE

    def answer(ask: Ask) -> Iterator[Step]:
        before, after = wire.padding if ask.stream else (b"", b"")
        after += healthy.body(ask)
        size = len(before) + mb * MEGABYTE + len(after)
        framing = {"transfer-encoding": "chunked"} if chunked else {"content-length": str(size)}
        yield head(200, {**_sized(healthy.headers(ask)), **framing})
        for part in itertools.chain([before] if before else [], itertools.repeat(spaces, mb), [after]):
            yield chunk(part) if chunked else part
        if chunked:
            yield LAST_CHUNK

    return answer


def big_header(wire: Wire, *, kb: int = 256) -> Answer:
    return Speak(wire, Said(), headers={"x-padding": "a" * (kb * 1024)})


def redirect(_wire: Wire, *, code: int = 302, location: str = "/redirected") -> Answer:
    """By default to this server, which lists whoever follows among the strays."""
    return lambda _ask: respond(code, {"location": location}, b"")


def html(_wire: Wire) -> Answer:
    page = b"<!doctype html><title>Sign in</title><h1>Welcome to the network</h1>"
    return lambda _ask: respond(200, {"content-type": "text/html; charset=utf-8"}, page)


def empty(wire: Wire) -> Answer:
    """200 and no body."""
    healthy = Speak(wire, Said())
    return lambda ask: respond(200, _sized(healthy.headers(ask)), b"")


def _sized(headers: Headers) -> Headers:
    return {name: value for name, value in headers.items() if name != "transfer-encoding"}
