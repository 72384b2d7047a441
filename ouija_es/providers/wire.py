"""The HTTP client behind the model providers: POST JSON, get JSON or a stream of lines, every failure one known reason.

Built on pyreqwest (Rust's reqwest); nothing outside this file knows that.
"""

import asyncio
import contextlib
import email.utils
import math
import re
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

import msgspec
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import DecodeError, NetworkError, PyreqwestError, RequestTimeoutError
from pyreqwest.request import RequestBuilder
from pyreqwest.response import Response

from ouija_es import __version__
from ouija_es.domain.persona import complete_sentences, without_fence
from ouija_es.domain.vocabulary import Reason
from ouija_es.errors import ProviderError

BODY_LIMIT_BYTES = 1 << 20
ANSWER_LIMIT_CHARACTERS = 2_000
TOKENS_LIMIT = 1_000_000
RETRY_AFTER_LIMIT_SECONDS = 1e10
TEMPERATURE = 0.9
CONNECT_TIMEOUT = timedelta(seconds=2)
IDLE_TIMEOUT = timedelta(seconds=30)

# What a status means (RFC 9110 §15; Groq's 498 is "capacity exceeded"), and whether a second try may succeed soon.
_STATUS: dict[int, tuple[Reason, bool]] = {
    400: (Reason.BAD_REQUEST, False),
    401: (Reason.UNAUTHORIZED, False),
    403: (Reason.UNAUTHORIZED, False),
    404: (Reason.BAD_REQUEST, False),
    408: (Reason.SERVER_ERROR, True),
    409: (Reason.SERVER_ERROR, True),
    413: (Reason.BAD_REQUEST, False),
    422: (Reason.BAD_REQUEST, False),
    424: (Reason.SERVER_ERROR, False),
    429: (Reason.RATE_LIMITED, True),
    498: (Reason.RATE_LIMITED, True),
    499: (Reason.SERVER_ERROR, False),
}

# A terminal or a page that shows the answer must not be steered by it; newline and tab may stay.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

Shape = TypeVar("Shape")
HeaderLookup = Callable[[str], str | None]


RATE_LIMIT_HEADERS = (
    "x-ratelimit-remaining-requests",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
)
STALL_SECONDS = 2.0
"""A stream that has begun and then says nothing for so long is given up."""


@dataclass(frozen=True, slots=True)
class Received(Generic[Shape]):
    """A decoded reply, and what its headers said of the rate limit."""

    body: Shape
    rate_limit: Mapping[str, str]


@dataclass(slots=True)
class Line:
    """A line of a stream. `started` is set by its reader once the answer's text has begun."""

    text: bytes
    rate_limit: Mapping[str, str]
    started: bool = False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one provider's requests go."""

    url: str
    headers: Mapping[str, str]


class WireClient:
    """One provider's connections. Closed once, at the end."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._client: Client = (
            ClientBuilder()
            .user_agent(f"ouija_es/{__version__}")
            .default_headers(dict(endpoint.headers))
            .follow_redirects(enable=False)
            # The body limit counts what is read, so nothing may be unpacked on the way.
            .gzip(enable=False).brotli(enable=False).zstd(enable=False).deflate(enable=False)
            .no_proxy()
            .referer(enable=False)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .build()
        )  # fmt: skip

    async def post(self, body: object, shape: msgspec.json.Decoder[Shape], timeout_seconds: float) -> Received[Shape]:
        """The decoded reply. Connecting, headers and whole body together take at most `timeout_seconds`.

        Raises ProviderError.
        """
        with _transport():
            async with (
                asyncio.timeout(timeout_seconds),
                self._request(body, timeout_seconds).build_streamed() as response,
            ):
                _check(response)
                raw = bytearray()
                while (chunk := await response.body_reader.read_chunk()) is not None:
                    raw += chunk
                    if len(raw) > BODY_LIMIT_BYTES:
                        raise ProviderError(Reason.MALFORMED_RESPONSE)
        return Received(decoded(shape, raw), _rate_limit_headers(response))

    async def lines(self, body: object, timeout_seconds: float) -> AsyncGenerator[Line]:
        """The reply's lines as they come, without their ends; empty ones are left out.

        All of it takes at most `timeout_seconds`; once the consumer has set `started` on a line, no longer than
        `STALL_SECONDS` pass without a byte. Raises ProviderError.
        """
        give_up_at = time.monotonic() + timeout_seconds
        started = False
        with _transport():
            async with contextlib.AsyncExitStack() as stack:
                async with asyncio.timeout(timeout_seconds):
                    # By default the head is held back until some of the body is there: here every byte counts.
                    request = self._request(body, timeout_seconds).streamed_read_buffer_limit(0).build_streamed()
                    response = await stack.enter_async_context(request)
                _check(response)
                headers = _rate_limit_headers(response)
                size, rest = 0, b""
                while True:
                    left = give_up_at - time.monotonic()
                    async with asyncio.timeout(min(left, STALL_SECONDS) if started else left):
                        chunk = await response.body_reader.read_chunk()
                    size += len(chunk or b"")
                    if size > BODY_LIMIT_BYTES:
                        raise ProviderError(Reason.MALFORMED_RESPONSE)
                    *whole, rest = (rest + bytes(chunk or b"\n")).split(b"\n")
                    for text in whole:
                        if text.strip():
                            line = Line(text.rstrip(b"\r"), headers)
                            yield line
                            started = started or line.started
                    if chunk is None:
                        return

    def _request(self, body: object, timeout_seconds: float) -> RequestBuilder:
        return (
            self._client.post(self._endpoint.url)
            .header("content-type", "application/json")
            .body_bytes(msgspec.json.encode(body))
            .timeout(timedelta(seconds=timeout_seconds))
        )

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()


@contextlib.contextmanager
def _transport() -> Iterator[None]:
    try:
        yield
    except (TimeoutError, RequestTimeoutError) as error:
        raise ProviderError(Reason.TIMEOUT) from error
    except PyreqwestError as error:
        raise _transport_error(error) from error


def _check(response: Response) -> None:
    if response.status != 200:
        raise _status_error(response.status, response.get_header)
    length = response.get_header("content-length")
    if length is not None and length.isdecimal() and int(length) > BODY_LIMIT_BYTES:
        raise ProviderError(Reason.MALFORMED_RESPONSE)


def decoded(shape: msgspec.json.Decoder[Shape], raw: bytes | bytearray) -> Shape:
    """The JSON of `raw`. Raises ProviderError."""
    try:
        return shape.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProviderError(Reason.MALFORMED_RESPONSE) from error


def _rate_limit_headers(response: Response) -> Mapping[str, str]:
    return {name: value for name in RATE_LIMIT_HEADERS if (value := response.get_header(name)) is not None}


def _status_error(status: int, header: HeaderLookup) -> ProviderError:
    if status < 400:
        reason, retryable = Reason.MALFORMED_RESPONSE, False
    else:
        reason, retryable = _STATUS.get(
            status, (Reason.SERVER_ERROR, True) if status >= 500 else (Reason.BAD_REQUEST, False)
        )
    return ProviderError(
        reason,
        retryable=retryable,
        status=status,
        retry_after_seconds=retry_after_seconds(header),
        rate_limit={name: value for name in RATE_LIMIT_HEADERS if (value := header(name)) is not None},
    )


def retry_after_seconds(header: HeaderLookup, *, now: float | None = None) -> float | None:
    """How long a provider asks to be left alone, from `retry-after-ms` or `retry-after` (seconds or an HTTP date).

    None if it does not say, or says nonsense. `now` is Unix time.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = header(name)
        if value is None:
            continue
        try:
            seconds = float(value) * unit
        except ValueError:
            try:
                date = email.utils.parsedate_to_datetime(value)
            except (ValueError, OverflowError):
                continue
            seconds = date.timestamp() - (time.time() if now is None else now)
        if math.isfinite(seconds):
            return min(max(0.0, seconds), RETRY_AFTER_LIMIT_SECONDS)
    return None


def _transport_error(error: PyreqwestError) -> ProviderError:
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


def delta_text(content: object) -> str:
    """A piece of a streamed text, without control characters; empty if there is none. Raises ProviderError."""
    if content is None:
        return ""
    if not isinstance(content, str):
        raise ProviderError(Reason.MALFORMED_RESPONSE)
    return _CONTROL.sub("", content)


def token_count(said: int | None) -> int | None:
    """A provider's count of tokens; None if there is none that can be true."""
    return said if said is not None and 0 <= said <= TOKENS_LIMIT else None


def checked_answer(text: object, *, truncated: bool) -> str:
    """A model's text as an answer: trimmed, whole sentences. Raises ProviderError if it is none."""
    if not isinstance(text, str):
        raise ProviderError(Reason.EMPTY_ANSWER if text is None else Reason.MALFORMED_RESPONSE)
    text = _CONTROL.sub("", without_fence(text)).strip()
    if not text:
        raise ProviderError(Reason.EMPTY_ANSWER)
    if len(text) > ANSWER_LIMIT_CHARACTERS:
        raise ProviderError(Reason.MALFORMED_RESPONSE)
    return complete_sentences(text) if truncated else text
