"""The HTTP client behind the model providers: POST JSON, get JSON, every failure one reason of the closed set.

Built on pyreqwest (Rust's reqwest); nothing outside this file knows that.
"""

import asyncio
import email.utils
import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import msgspec
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import DecodeError, NetworkError, PyreqwestError, RequestTimeoutError
from pyreqwest.request import StreamRequest

from ouija_es import __version__
from ouija_es.domain.persona import complete_sentences
from ouija_es.domain.vocabulary import Reason
from ouija_es.errors import ProviderError

BODY_LIMIT_BYTES = 1 << 20
ANSWER_LIMIT_CHARACTERS = 2_000
ANSWER_TOKENS = 160
"""What a provider may generate: 60 words of Spanish and some slack."""
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

    async def post(self, body: object, shape: msgspec.json.Decoder[Shape], timeout_seconds: float) -> Shape:
        """The decoded reply. Connecting, headers and whole body together take at most `timeout_seconds`.

        Raises ProviderError.
        """
        request = (
            self._client.post(self._endpoint.url)
            .header("content-type", "application/json")
            .body_bytes(msgspec.json.encode(body))
            .timeout(timedelta(seconds=timeout_seconds))
            .build_streamed()
        )
        try:
            async with asyncio.timeout(timeout_seconds):
                raw = await _exchange(request)
        except (TimeoutError, RequestTimeoutError) as error:
            raise ProviderError(Reason.TIMEOUT) from error
        except PyreqwestError as error:
            raise _transport_error(error) from error
        try:
            return shape.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ProviderError(Reason.MALFORMED_RESPONSE) from error

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()


async def _exchange(request: StreamRequest) -> bytes:
    async with request as response:
        if response.status != 200:
            raise _status_error(response.status, response.get_header)
        length = response.get_header("content-length")
        if length is not None and length.isdecimal() and int(length) > BODY_LIMIT_BYTES:
            raise ProviderError(Reason.MALFORMED_RESPONSE)
        body = bytearray()
        while (chunk := await response.body_reader.read_chunk()) is not None:
            body += chunk
            if len(body) > BODY_LIMIT_BYTES:
                raise ProviderError(Reason.MALFORMED_RESPONSE)
        return bytes(body)


def _status_error(status: int, header: HeaderLookup) -> ProviderError:
    if 300 <= status < 400:
        reason, retryable = Reason.MALFORMED_RESPONSE, False
    else:
        reason, retryable = _STATUS.get(
            status, (Reason.SERVER_ERROR, True) if status >= 500 else (Reason.BAD_REQUEST, False)
        )
    return ProviderError(reason, retryable=retryable, status=status, retry_after_seconds=retry_after_seconds(header))


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
            except ValueError:
                continue
            seconds = date.timestamp() - (time.time() if now is None else now)
        if math.isfinite(seconds):
            return max(0.0, seconds)
    return None


def _transport_error(error: PyreqwestError) -> ProviderError:
    causes = str(getattr(error, "details", None) or "")
    if isinstance(error, NetworkError):
        # reqwest has one class for both: "(Connect)" is refused, no such host, no trust; anything else broke later on.
        return ProviderError(Reason.CONNECTION, retryable="client error (Connect)" not in causes)
    if "end of file before message length reached" in causes:
        return ProviderError(Reason.CONNECTION, retryable=True)
    if isinstance(error, DecodeError):
        return ProviderError(Reason.MALFORMED_RESPONSE)
    return ProviderError(Reason.CONNECTION)


def checked_answer(text: object, *, truncated: bool) -> str:
    """A model's text as an answer: trimmed, whole sentences. Raises ProviderError if it is none."""
    if not isinstance(text, str):
        raise ProviderError(Reason.EMPTY_ANSWER if text is None else Reason.MALFORMED_RESPONSE)
    text = _CONTROL.sub("", text).strip()
    if not text:
        raise ProviderError(Reason.EMPTY_ANSWER)
    if len(text) > ANSWER_LIMIT_CHARACTERS:
        raise ProviderError(Reason.MALFORMED_RESPONSE)
    return complete_sentences(text) if truncated else text
