"""A connection: HTTP/1.1 in, scripts out."""

import asyncio
import os
import socket
import struct
import time
from collections import deque
from collections.abc import Iterator
from typing import cast

import httptools

from loadtests.stubs.provider import Record
from loadtests.stubs.server import Stubs
from loadtests.stubs.wire import End, Request, Step, response

Served = tuple[Request, Record | None]


class Connection(asyncio.Protocol):
    """HTTP/1.1 on one connection: a request at a time, the further ones of a pipeline wait."""

    def __init__(self, stubs: Stubs, loop: asyncio.AbstractEventLoop) -> None:
        self._stubs, self._loop = stubs, loop
        self._waiting: deque[Request] = deque()
        self._current: Served | None = None
        self._steps: Iterator[Step] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpRequestParser(self)
        self._stubs.connections += 1

    def connection_lost(self, _exc: Exception | None) -> None:
        self._waiting.clear()
        if self._current:
            self._finish(self._current, "disconnected")

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError:
            raise
        except httptools.HttpParserError:
            self._transport.write(response(400, {"connection": "close"}, b""))
            self._transport.close()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._timer is None:
            self._advance()

    # httptools' callbacks

    def on_message_begin(self) -> None:
        self._path, self._body = b"", b""
        self._headers: list[tuple[bytes, bytes]] = []

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        parser = self._parser
        request = Request(
            time.time(), parser.get_method(), self._path, self._headers, self._body, parser.should_keep_alive()
        )
        if self._current:
            self._waiting.append(request)
        else:
            self._serve(request)

    def _serve(self, request: Request) -> None:
        script, record = self._stubs.answer(request)
        if isinstance(script, bytes):
            self._transport.write(script)
            if record:
                record.ended = "answered"
            if not request.keep_alive:
                self._transport.close()
            return
        if record:
            record.begin()
        self._current, self._steps = (request, record), iter(script)
        self._advance()

    def _advance(self) -> None:
        self._timer = None
        if self._current is None or self._steps is None:
            return
        for step in self._steps:
            if isinstance(step, bytes):
                self._transport.write(step)
                if self._paused:
                    return
            elif isinstance(step, End):
                self._end(self._current, step)
                return
            else:
                self._timer = self._loop.call_later(step, self._advance)
                return
        request = self._finish(self._current, "answered")
        if not request.keep_alive:
            self._transport.close()
        self._serve_waiting()

    def _serve_waiting(self) -> None:
        while self._waiting and not self._current:
            self._serve(self._waiting.popleft())

    def _end(self, current: Served, end: End) -> None:
        self._steps = None
        if end is End.HANG:
            return
        self._finish(current, "cut")
        if end is End.CLOSE:
            self._transport.close()
            return
        # Closing with a linger of no seconds sends RST; the option belongs to the socket, whichever descriptor sets it.
        with socket.socket(fileno=os.dup(self._transport.get_extra_info("socket").fileno())) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _finish(self, current: Served, how: str) -> Request:
        request, record = current
        self._current = self._steps = None
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if record:
            record.end(how)
        return request
