"""The stored format: what happened to a question, one immutable fact per event.

On disk an event is a row: stream (UUIDv7), version (1…n), topic (`ouija.<Name>.v<N>`) and state, the JSON of the fields
below in camelCase. `texts` tells about a person: in the row it is sealed, base64 of what `store.vault` describes.
`docs/events.md` describes the format, `tests/domain/golden_events.jsonl` holds every version ever stored: a field may
be added with a default, nothing may be renamed or removed without a new version.

Times are UTC (RFC 3339). Durations are whole milliseconds: sums of floats would depend on how a log is read in batches.
"""

from datetime import datetime
from uuid import UUID

import msgspec

from ouija_es.domain.vocabulary import BreakerState, Category, ErasedBy, Language, Personality, Provider, Reason


class Event(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """What every event carries: when, and which process (its `PolicyAdopted` stream) wrote it."""

    at: datetime
    instance: UUID


class TierPolicy(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The values by which one provider is tried. `configuration` changes with its address, model or key."""

    provider: Provider
    configured: bool
    model: str
    timeout_ms: int
    max_attempts: int
    concurrency: int
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    configuration: str | None = None


class PolicyAdopted(Event, frozen=True, kw_only=True):
    """A process started with these values: its decisions follow from them and from what its events say.

    `*_digest` are SHA-256 prefixes of the data that decides: a canned answer or a category can be looked up again only
    in the same data.
    """

    service_version: str
    deadline_ms: int
    reserve_ms: int
    tiers: tuple[TierPolicy, ...]
    prompts_version: int
    answers_digest: str
    categories_digest: str
    breaker_failures: int | None = None
    breaker_open_ms: int | None = None


class AskedTexts(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Sealed: the question, and the address it came from."""

    question: str
    client_address: str | None


class Asked(Event, frozen=True, kw_only=True):
    """A question came in.

    `opens_session`: it is the session's first. `exchanges`: how many earlier ones of the session were sent along.
    With an idempotency key: `idempotency_key_hash`, an HMAC under the vault's key; `request_hash`, under the session's.
    """

    session_id: UUID
    opens_session: bool
    personality: Personality
    language: Language
    category: Category
    exchanges: int
    deadline_ms: int
    trace_id: str
    texts: AskedTexts | bytes
    idempotency_key_hash: str | None = None
    request_hash: str | None = None


class TierState(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """What a decision about a provider saw of it: all that is shared with other questions.

    `requests_left`: of this minute, before this call. `held_ms`: so long it asked to be left alone. `has_room`: whether
    the minute had room for this call, its tokens too; null in rows older than the field.
    """

    in_flight: int
    breaker: BreakerState = BreakerState.CLOSED
    held_ms: int = 0
    requests_left: int | None = None
    has_room: bool | None = None


class AttemptStarted(Event, frozen=True, kw_only=True):
    """A provider is about to be called. `time_left_ms` is what the deadline left to the model tiers."""

    provider: Provider
    attempt: int
    model: str
    timeout_ms: int
    time_left_ms: int
    seen: TierState | None = None


class AttemptFailed(Event, frozen=True, kw_only=True):
    """A provider gave no answer. `retry_in_ms`: it is tried again after that pause; null: the next tier follows.

    What that decision saw besides: `retryable`, a second try may help; `shown`, the client has seen a piece of the
    answer; `backoff_ms`, the pause that was drawn. The first two are null in older rows and where nothing was decided.
    """

    provider: Provider
    attempt: int
    reason: Reason
    duration_ms: int
    time_left_ms: int
    status: int | None = None
    retry_after_ms: int | None = None
    retry_in_ms: int | None = None
    retryable: bool | None = None
    shown: bool | None = None
    backoff_ms: int | None = None


class AttemptSkipped(Event, frozen=True, kw_only=True):
    """A provider was not called, and why."""

    provider: Provider
    reason: Reason
    time_left_ms: int
    seen: TierState | None = None


class AttemptSucceeded(Event, frozen=True, kw_only=True):
    """A provider answered. `reason` is null or `truncated`; tokens are the provider's own count."""

    provider: Provider
    attempt: int
    reason: Reason | None
    duration_ms: int
    model: str
    input_tokens: int | None = None
    output_tokens: int | None = None


class AnsweredTexts(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Sealed: the answer, which canned one it was, and whether it was the answer to a question about self-harm."""

    response: str
    canned_answer_id: str | None
    safety: bool


class Answered(Event, frozen=True, kw_only=True):
    """The answer, as the client gets it. `duration_ms` runs from the door to the decision."""

    source: Provider
    model: str
    duration_ms: int
    texts: AnsweredTexts | bytes


class Withdrawn(Event, frozen=True, kw_only=True):
    """Whoever asked went away before the answer, and nobody else can ask for it."""


class Abandoned(Event, frozen=True, kw_only=True):
    """The question was found unfinished: its process died, or its last events could not be committed in time."""


class BreakerOpened(Event, frozen=True, kw_only=True):
    """A provider is left alone: it failed `failures` times in a row, the last time with `reason`."""

    provider: Provider
    reason: Reason
    failures: int
    open_ms: int


class BreakerHalfOpened(Event, frozen=True, kw_only=True):
    """One call is let through to see whether the provider is well again."""

    provider: Provider


class BreakerClosed(Event, frozen=True, kw_only=True):
    """The provider answered; it is called as usual."""

    provider: Provider


class Erased(Event, frozen=True, kw_only=True):
    """A session's key was destroyed in the same transaction: nobody can open its texts any more."""

    session_id: UUID
    by: ErasedBy


class Sealed(Event, frozen=True, kw_only=True):
    """The ledger's link at a position, signed: `store.seals` says over which bytes.

    `hash` in hex; `signature` and `public_key` (Ed25519) in base64url.
    """

    position: int
    hash: str
    signature: str
    public_key: str


TOPICS: dict[str, type[Event]] = {
    "ouija.PolicyAdopted.v1": PolicyAdopted,
    "ouija.Asked.v1": Asked,
    "ouija.AttemptStarted.v1": AttemptStarted,
    "ouija.AttemptFailed.v1": AttemptFailed,
    "ouija.AttemptSkipped.v1": AttemptSkipped,
    "ouija.AttemptSucceeded.v1": AttemptSucceeded,
    "ouija.Answered.v1": Answered,
    "ouija.Withdrawn.v1": Withdrawn,
    "ouija.Abandoned.v1": Abandoned,
    "ouija.BreakerOpened.v1": BreakerOpened,
    "ouija.BreakerHalfOpened.v1": BreakerHalfOpened,
    "ouija.BreakerClosed.v1": BreakerClosed,
    "ouija.Erased.v1": Erased,
    "ouija.Sealed.v1": Sealed,
}
TOPIC_OF: dict[type[Event], str] = {event: topic for topic, event in TOPICS.items()}

FINAL = (Answered, Withdrawn, Abandoned)
"""After one of these a question's stream takes no further event."""
