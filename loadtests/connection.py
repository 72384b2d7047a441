"""An HTTP/1.1 client that costs little: one request at a time on a connection, requests as ready-made bytes.

What drives a service must not be what is measured: this answers some 20,000 times a second on one core.
"""

import asyncio
import json
import ssl
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httptools


class Reply:
    """Status, body and when its last byte came (`time.perf_counter`); status 0 is a connection that broke."""

    __slots__ = ("at", "body", "status")

    def __init__(self, status: int, body: bytes, at: float) -> None:
        self.status, self.body, self.at = status, body, at


class Connection(asyncio.Protocol):
    """A connection that is kept alive."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiter: asyncio.Future[Reply] | None = None
        self.open = False

    def send(self, request: bytes) -> "asyncio.Future[Reply]":
        self._waiter = waiter = self._loop.create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        if self.open:
            self._transport.write(request)
        else:
            self._settle(0)
        return waiter

    def close(self) -> None:
        self.open = False
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self.open = True

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def connection_lost(self, _exc: Exception | None) -> None:
        self.open = False
        self._settle(0)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if not self._parser.should_keep_alive():
            self.close()
        self._settle(self._parser.get_status_code())

    def _settle(self, status: int) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(Reply(status, b"".join(self._body), time.perf_counter()))


class Target:
    """Where requests go, and what they are made of."""

    def __init__(self, url: str) -> None:
        self._parts: SplitResult = urlsplit(url)
        self._tls = ssl.create_default_context() if self._parts.scheme == "https" else None

    async def connect(self) -> Connection:
        """Raises OSError."""
        loop = asyncio.get_running_loop()
        port = self._parts.port or (443 if self._tls else 80)
        host = self._parts.hostname
        _, connection = await loop.create_connection(lambda: Connection(loop), host, port, ssl=self._tls)
        return connection

    def post(self, path: str, content: Any, headers: Mapping[str, str] | None = None) -> bytes:
        body = json.dumps(content, ensure_ascii=False).encode()
        told = {"content-type": "application/json", "content-length": str(len(body)), **(headers or {})}
        return self._head("POST", path, told) + body

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> bytes:
        return self._head("GET", path, headers or {})

    def _head(self, method: str, path: str, headers: Mapping[str, str]) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"host: {self._parts.netloc}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "", ""]).encode()
