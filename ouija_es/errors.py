"""The error tree.

OuijaError
├── StartError              the service cannot start; one line says why (CLI exit code 1)
│   └── FolderInUse             another process is writing to the data folder
├── ProviderError           a provider's try failed, for one reason of the closed set; only the chain catches it
└── RequestError            what a client is told; the HTTP status stands at the leaves
    ├── MalformedRequest        400
    ├── WrongToken              401
    ├── UnknownSession          404
    ├── UnknownQuestion         404
    ├── NotAcceptable           406
    ├── SlowBody                408
    ├── KeyInFlight             409
    ├── ErasedQuestion          410
    ├── TooLarge                413
    ├── UnsupportedMediaType    415
    ├── InvalidRequest          422
    ├── KeyReused               422
    ├── TooManyRequests         429
    ├── TooManyWrongTokens      429
    ├── Overloaded              503  refused early, so that those already let in are not late
    └── StoreFault
        ├── StoreUnreadable     503  what was recorded cannot be read
        └── StoreUnavailable    503  not recorded in time: nothing is said that is not recorded
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from ouija_es.domain.vocabulary import Reason


class OuijaError(Exception):
    """Everything this package raises on purpose."""


class StartError(OuijaError):
    """The service or a command cannot start; the message is for the operator."""


class FolderInUse(StartError):
    """Another process holds the lock on the data folder."""


class ProviderError(OuijaError):
    """A provider gave no answer.

    `retryable`: a second try of the same provider may succeed soon. `status`: the HTTP status, if one came.
    `retry_after_seconds`: how long the provider asked to be left alone. `rate_limit`: its `x-ratelimit-*` headers.
    """

    def __init__(
        self,
        reason: Reason,
        *,
        retryable: bool = False,
        status: int | None = None,
        retry_after_seconds: float | None = None,
        rate_limit: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.retryable = retryable
        self.status = status
        self.retry_after_seconds = retry_after_seconds
        self.rate_limit = rate_limit or {}


@dataclass(frozen=True, slots=True)
class FieldError:
    """One mistake in a request: where, and what is wrong."""

    field: str
    message: str


class RequestError(OuijaError):
    """A request that cannot be answered; becomes `application/problem+json` (RFC 9457), with `headers` of its own."""

    status: ClassVar[int]
    type: ClassVar[str]
    title: ClassVar[str]

    def __init__(
        self,
        detail: str,
        *,
        errors: tuple[FieldError, ...] = (),
        retry_after_seconds: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = errors
        self.retry_after_seconds = retry_after_seconds
        self.headers = headers or {}


class MalformedRequest(RequestError):
    status, type, title = 400, "malformed-request", "The request cannot be read"


class WrongToken(RequestError):
    status, type, title = 401, "wrong-token", "A valid bearer token is needed"


class UnknownSession(RequestError):
    status, type, title = 404, "unknown-session", "This session is not known"


class UnknownQuestion(RequestError):
    status, type, title = 404, "unknown-question", "This question is not known"


class NotAcceptable(RequestError):
    status, type, title = 406, "not-acceptable", "None of the accepted media types can be served"


class SlowBody(RequestError):
    status, type, title = 408, "slow-body", "The request body did not arrive in time"


class KeyInFlight(RequestError):
    status, type, title = 409, "idempotency-key-in-flight", "A request with this idempotency key is being answered"


class ErasedQuestion(RequestError):
    status, type, title = 410, "erased", "What was asked with this idempotency key has been erased"


class TooLarge(RequestError):
    status, type, title = 413, "too-large", "The request body is too large"


class UnsupportedMediaType(RequestError):
    status, type, title = 415, "unsupported-media-type", "The request body must be JSON"


class InvalidRequest(RequestError):
    status, type, title = 422, "invalid-request", "The request is not valid"


class KeyReused(RequestError):
    status, type, title = 422, "idempotency-key-reused", "The idempotency key belongs to another request"


class TooManyRequests(RequestError):
    status, type, title = 429, "too-many-requests", "Too many questions from one address"


class TooManyWrongTokens(RequestError):
    status, type, title = 429, "too-many-wrong-tokens", "Too many wrong tokens from one address"


class Overloaded(RequestError):
    status, type, title = 503, "overloaded", "The service has more to do than it can"

    def __init__(self) -> None:
        super().__init__("The spirit is overrun just now. Try again soon.", retry_after_seconds=2)


class StoreFault(RequestError):
    """The event store, for now."""


class StoreUnreadable(StoreFault):
    status, type, title = 503, "not-readable", "The record cannot be read"


StoreErrorReason = Literal["busy", "full", "io", "conflict", "other"]


class StoreUnavailable(StoreFault):
    """The event store did not take the events in time. `reason` is the label of `ouija_store_errors_total`."""

    status, type, title = 503, "not-recorded", "The answer could not be recorded"

    def __init__(self, reason: StoreErrorReason) -> None:
        super().__init__("The spirit's words could not be written down in time. Try again soon.", retry_after_seconds=5)
        self.reason = reason
