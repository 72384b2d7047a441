"""The HTTP client behind the model providers: POST JSON, get JSON or a stream of lines, every failure one known reason.

Built on pyreqwest (Rust's reqwest); nothing outside this file knows that.
"""

import contextlib
from collections.abc import AsyncGenerator, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

import msgspec
from pyreqwest.bytes import Bytes
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import DecodeError, NetworkError, PyreqwestError, RequestTimeoutError
from pyreqwest.http import Url
from pyreqwest.request import RequestBuilder
from pyreqwest.response import Response

from ouija_es import __version__
from ouija_es.domain.vocabulary import Reason
from ouija_es.errors import ProviderError
from ouija_es.providers.stall import Stall
from ouija_es.providers.status import NO_HEADERS, rate_limit_headers, status_error

BODY_LIMIT_BYTES = 1 << 20
TEMPERATURE = 0.9
CONNECT_TIMEOUT = timedelta(seconds=2)
IDLE_TIMEOUT = timedelta(seconds=30)

Shape = TypeVar("Shape")


STALL_SECONDS = 2.0
"""A stream that has begun and then says nothing for so long is given up."""


class Received(msgspec.Struct, Generic[Shape], frozen=True):
    """A decoded reply, and what its headers said of the rate limit."""

    body: Shape
    rate_limit: Mapping[str, str]


@dataclass(slots=True)
class Lines:
    """The lines of a stream that came together. `started` is set by their reader once the answer's text has begun."""

    texts: list[bytes]
    rate_limit: Mapping[str, str]
    started: bool = False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one provider's requests go."""

    url: str
    headers: Mapping[str, str]


class WireClient:
    """One provider's connections. Closed once, at the end."""

    def __init__(self, endpoint: Endpoint, client: Client | None = None) -> None:
        self._url = Url(endpoint.url)
        self._client: Client = client or (
            ClientBuilder()
            .user_agent(f"ouija_es/{__version__}")
            .default_headers({"content-type": "application/json", **endpoint.headers})
            .follow_redirects(enable=False)
            # The body limit counts what is read, so nothing may be unpacked on the way.
            .gzip(enable=False).brotli(enable=False).zstd(enable=False).deflate(enable=False)
            .no_proxy()
            .referer(enable=False)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build()
        )  # fmt: skip

    def beside(self, url: str) -> "WireClient":
        """Another address of the same provider, asked over the same connections: they are closed only here.

        Connections of its own would cost a reading of all the machine's certificates.
        """
        return WireClient(Endpoint(url, {}), self._client)

    async def post(
        self,
        body: object,
        shape: msgspec.json.Decoder[Shape],
        timeout_seconds: float,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> Received[Shape]:
        """The decoded reply. Connecting, headers and whole body together take at most `timeout_seconds`.

        Raises ProviderError.
        """
        try:
            async with self._request(body, timeout_seconds, headers).build_streamed() as response:
                _check(response)
                # Reads until so much is there or the body ends, whatever pieces it comes in.
                raw = await response.body_reader.read(BODY_LIMIT_BYTES + 1) or b""
        except PyreqwestError as error:
            raise _transport_error(error) from error
        if len(raw) > BODY_LIMIT_BYTES:
            raise ProviderError(Reason.MALFORMED_RESPONSE)
        return Received(decoded(shape, raw), rate_limit_headers(response.get_header))

    async def lines(
        self, body: object, timeout_seconds: float, headers: Mapping[str, str] = NO_HEADERS
    ) -> AsyncGenerator[Lines]:
        """The reply's lines as they come, all that came at once together; empty ones are left out.

        All of it takes at most `timeout_seconds`; once the consumer has set `started`, no longer than `STALL_SECONDS`
        pass without a byte. Raises ProviderError.
        """
        # By default the head is held back until all of the body is there: here every byte counts.
        request = self._request(body, timeout_seconds, headers).streamed_read_buffer_limit(0).build_streamed()
        with _transport(), contextlib.closing(Stall(STALL_SECONDS)) as stall:
            async with request as response:
                _check(response)
                reader = response.body_reader
                lines = Lines([], rate_limit_headers(response.get_header))
                size, rest = 0, b""
                while True:
                    # The client itself sees to `timeout_seconds`.
                    if lines.started:
                        with stall:
                            chunk = await reader.read_chunk()
                    else:
                        chunk = await reader.read_chunk()
                    whole, rest = _split(rest, b"\n" if chunk is None else bytes(chunk))
                    size += 0 if chunk is None else len(chunk)
                    if size > BODY_LIMIT_BYTES:
                        raise ProviderError(Reason.MALFORMED_RESPONSE)
                    if whole:
                        lines.texts = whole
                        yield lines
                    if chunk is None:
                        return

    def _request(self, body: object, timeout_seconds: float, headers: Mapping[str, str]) -> RequestBuilder:
        request = (
            self._client.post(self._url)
            .body_bytes(msgspec.json.encode(body))
            .timeout(timedelta(seconds=timeout_seconds))
        )
        for name, value in headers.items():
            request = request.header(name, value)
        return request

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()


@contextlib.contextmanager
def _transport() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise ProviderError(Reason.TIMEOUT) from error
    except PyreqwestError as error:
        raise _transport_error(error) from error


def _check(response: Response) -> None:
    if response.status != 200:
        raise status_error(response.status, response.get_header)


def _split(rest: bytes, piece: bytes) -> tuple[list[bytes], bytes]:
    """The lines that `piece` completes, without their ends and without empty ones, and what is left of it."""
    *whole, rest = (rest + piece).split(b"\n")
    return [line.rstrip(b"\r") for line in whole if line.strip()], rest


def decoded(shape: msgspec.json.Decoder[Shape], raw: bytes | Bytes) -> Shape:
    """The JSON of `raw`. Raises ProviderError."""
    try:
        return shape.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProviderError(Reason.MALFORMED_RESPONSE) from error


def _transport_error(error: PyreqwestError) -> ProviderError:
    if isinstance(error, RequestTimeoutError):
        return ProviderError(Reason.TIMEOUT)
    causes = str(getattr(error, "details", None) or "")
    if isinstance(error, NetworkError):
        # reqwest has one class for both: "(Connect)" is refused, no such host, no trust; anything else broke later on.
        return ProviderError(Reason.CONNECTION, retryable="client error (Connect)" not in causes)
    if "end of file before message length reached" in causes:
        return ProviderError(Reason.CONNECTION, retryable=True)
    # A body that is read as it comes has no error class of its own.
    if isinstance(error, DecodeError) or "error reading a body from connection" in causes:
        return ProviderError(Reason.MALFORMED_RESPONSE)
    return ProviderError(Reason.CONNECTION)
