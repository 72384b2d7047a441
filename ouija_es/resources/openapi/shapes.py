"""The shapes of bodies that no type of the code has."""

from datetime import datetime
from typing import Annotated, Any, Literal, NotRequired, TypedDict
from uuid import UUID

from msgspec import Meta

from ouija_es.domain.vocabulary import Reason
from ouija_es.errors import FieldError

Count = Annotated[int, Meta(ge=0)]
Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Problem(TypedDict):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: str
    traceId: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
    errors: NotRequired[list[FieldError]]


class Index(TypedDict):
    """What this is, and where to go."""

    name: Literal["ouija_es"]
    version: str
    links: dict[str, str]


class DatabaseCheck(TypedDict):
    """The event store and the table of canned answers."""

    status: Literal["ok", "error"]
    count: Count
    error: str | None


class ProviderCheck(TypedDict):
    """A model provider, by the evidence of the last questions."""

    status: Literal["ok", "degraded"]
    available: bool | None
    error: Reason | None


class ProjectionsCheck(TypedDict):
    """The numbers that are folded from the log."""

    status: Literal["ok", "error"]
    lag: int
    error: str | None


class LedgerCheck(TypedDict):
    """The hash chain over the log, and its seals."""

    status: Literal["ok", "error"]
    sealedPosition: Annotated[int, Meta(ge=0)]
    error: str | None


class HealthChecks(TypedDict):
    """One entry per dependency."""

    database: DatabaseCheck
    ollama: ProviderCheck
    groq: ProviderCheck
    projections: ProjectionsCheck
    ledger: LedgerCheck


class Health(TypedDict):
    """The service's health."""

    status: Literal["ok", "critical"]
    timestamp: datetime
    version: str
    environment: Literal["development", "test", "production"]
    commit: str | None
    checks: HealthChecks


class Dashboard(TypedDict):
    """The service in numbers. With `as_of`, what only the process knows is null."""

    timestamp: datetime
    position: int
    totals: dict[str, Any]
    services: dict[str, Any]
    eventStore: dict[str, Any]
    answers: dict[str, Any]
    timeline: list[dict[str, Any]]
    recent: list[dict[str, Any]]


class ProofSeal(TypedDict):
    """The last seal: a signature over a position and the ledger's hash there."""

    position: Annotated[int, Meta(ge=1)]
    hash: Hash
    sealedAt: datetime
    signature: str


class Proof(TypedDict):
    """What somebody has to note to know this log again."""

    position: Annotated[int, Meta(ge=0)]
    hash: Hash
    seal: ProofSeal | None
    publicKey: str


class Live(TypedDict):
    """The process runs."""

    status: Literal["ok"]


class Ready(TypedDict):
    """Whether the process answers."""

    status: Literal["ok", "starting", "draining"]


class QuestionHistory(TypedDict):
    """A question with all that happened to it."""

    questionId: UUID
    sessionId: UUID
    erased: bool
    events: list[dict[str, Any]]


class SessionHistory(TypedDict):
    """A session's questions, oldest first."""

    sessionId: UUID
    questions: list[QuestionHistory]


class SessionSummary(TypedDict):
    """A session."""

    sessionId: UUID
    openedAt: datetime
    lastAt: datetime
    questions: Count
    erasedAt: datetime | None


class SessionPage(TypedDict):
    """Some sessions, newest first."""

    sessions: list[SessionSummary]
    next: str | None


class StreamDelta(TypedDict):
    """A piece of a streamed answer."""

    text: str


class StreamDiscard(TypedDict):
    """The pieces so far are void."""

    reason: Reason
