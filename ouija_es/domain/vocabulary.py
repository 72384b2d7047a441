"""The closed sets of words that requests, events, metrics and documents share."""

from enum import StrEnum


class Language(StrEnum):
    """ISO 639-1 codes of the languages the spirit speaks."""

    ES = "es"
    EN = "en"


class Personality(StrEnum):
    """Whose voice answers."""

    WISE = "wise"
    CRYPTIC = "cryptic"
    DARK = "dark"
    PLAYFUL = "playful"


class Category(StrEnum):
    """What a question is about."""

    LOVE = "love"
    CAREER = "career"
    HEALTH = "health"
    FAMILY = "family"
    DEATH = "death"
    FUTURE = "future"
    MONEY = "money"
    SPIRITUALITY = "spirituality"
    GENERAL = "general"


class ErasedBy(StrEnum):
    """Who or what had a session erased."""

    HOLDER = "holder"
    OPERATOR = "operator"
    RETENTION = "retention"


class Provider(StrEnum):
    """The tiers, in the order in which they are tried. An answer's `source` is one of them."""

    GROQ = "groq"
    OLLAMA = "ollama"
    DATABASE = "database"


class Outcome(StrEnum):
    """How a try ended."""

    ANSWERED = "answered"
    FAILED = "failed"
    SKIPPED = "skipped"


class Reason(StrEnum):
    """Why a try failed, was skipped, or (`TRUNCATED` only) answered less than whole."""

    TIMEOUT = "timeout"
    CONNECTION = "connection"
    RATE_LIMITED = "rate_limited"
    UNAUTHORIZED = "unauthorized"
    BAD_REQUEST = "bad_request"
    SERVER_ERROR = "server_error"
    MALFORMED_RESPONSE = "malformed_response"
    EMPTY_ANSWER = "empty_answer"
    TRUNCATED = "truncated"
    REFUSED = "refused"
    BREAKER_OPEN = "breaker_open"
    BUCKET_EMPTY = "bucket_empty"
    SATURATED = "saturated"
    NOT_CONFIGURED = "not_configured"
    DEADLINE = "deadline"
    CANCELLED = "cancelled"


class BreakerState(StrEnum):
    """How a provider's breaker stands. `DUE`: open, but one call may see whether the provider is well again."""

    CLOSED = "closed"
    OPEN = "open"
    DUE = "due"
