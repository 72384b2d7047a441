"""What a provider's status and headers say: why it refused, how long to leave it alone, how much it still takes."""

import email.utils
import math
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

from ouija_es.domain.vocabulary import Reason
from ouija_es.errors import ProviderError

HeaderLookup = Callable[[str], str | None]

NO_HEADERS: Mapping[str, str] = MappingProxyType({})
RETRY_AFTER_LIMIT_SECONDS = 1e10
RATE_LIMIT_HEADERS = (
    "x-ratelimit-remaining-requests",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
)

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


def status_error(status: int, header: HeaderLookup) -> ProviderError:
    """The error that a status other than 200 stands for."""
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
        rate_limit=rate_limit_headers(header),
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


def rate_limit_headers(header: HeaderLookup) -> Mapping[str, str]:
    """The `x-ratelimit-*` headers that came."""
    return {name: value for name in RATE_LIMIT_HEADERS if (value := header(name)) is not None}
