"""One question's way through the tiers, gone again: decided from each event, and held against what it says."""

from dataclasses import dataclass

from ouija_es.domain.events import (
    Answered,
    Asked,
    AttemptFailed,
    AttemptSkipped,
    AttemptStarted,
    AttemptSucceeded,
    Event,
    PolicyAdopted,
    TierPolicy,
)
from ouija_es.domain.vocabulary import Provider, Reason
from ouija_es.fallback.decisions import (
    Turn,
    backoff_limit_ms,
    first_turn,
    next_tier,
    next_try,
    reason_to_skip,
    retry_in_ms,
    timeout_ms,
)


@dataclass(frozen=True, slots=True)
class Difference:
    """A decision that comes out otherwise than it was recorded."""

    recorded: str
    decided: str


@dataclass(slots=True)
class Counts:
    """What became of the decisions of many questions.

    `decided` were made again; `undecidable`: their events are of an older form and do not hold all that they saw;
    `straight`: the tiers before the last were passed over without a word, as only a question about self-harm does, and
    that it was one is sealed with its answer.
    """

    decided: int = 0
    undecidable: int = 0
    straight: int = 0


class Course:
    """Follows the events behind `Asked` under the policy of the process that wrote them, and adds to `counts`.

    What is not recorded is not made up: a decision is judged by what came before it, an outcome is taken as it is.
    """

    __slots__ = ("_answering", "_calling", "_counts", "_tiers", "_turn")

    def __init__(self, policy: PolicyAdopted, counts: Counts) -> None:
        self._tiers = policy.tiers
        self._counts = counts
        self._turn: Turn | None = None
        self._calling: AttemptStarted | None = None
        self._answering: AttemptSucceeded | None = None

    def follow(self, event: Event) -> Difference | None:
        """The difference, if there is one: then the rest of the question means nothing any more."""
        match event:
            case AttemptStarted() | AttemptSkipped():
                return self._tried(event)
            case AttemptSucceeded():
                return self._succeeded(event)
            case AttemptFailed():
                return self._failed(event)
            case Answered():
                return self._answered(event)
            case Asked():
                return Difference("asked", self._due())
            case _:
                return None  # given up, by its client or its process: nothing is decided

    def _tried(self, step: AttemptStarted | AttemptSkipped) -> Difference | None:
        turn = self._turn = self._turn or self._first_turn(step)
        if self._calling or self._answering or turn.tier == len(self._tiers):
            return Difference(_told(step), self._due())
        policy, attempt = self._tiers[turn.tier], turn.attempt
        if isinstance(step, AttemptStarted):
            attempt, self._calling = step.attempt, step
        else:
            self._turn = next_tier(turn)
        if (step.provider, attempt) != (policy.provider, turn.attempt):
            return Difference(_told(step), _turn_of(policy, turn))
        if step.seen is None or step.seen.has_room is None:
            self._counts.undecidable += 1
            return None
        self._counts.decided += 1
        reason, at_most_ms = reason_to_skip(policy, step.seen, step.time_left_ms), timeout_ms(policy, step.time_left_ms)
        if isinstance(step, AttemptStarted):
            same = reason is None and (step.model, step.timeout_ms) == (policy.model, at_most_ms)
        else:
            same = reason is step.reason
        return None if same else Difference(_told(step), _decided(policy, turn.attempt, reason, at_most_ms))

    def _first_turn(self, step: AttemptStarted | AttemptSkipped) -> Turn:
        last = self._tiers[-1].provider
        straight = isinstance(step, AttemptStarted) and step.provider is last is not self._tiers[0].provider
        self._counts.straight += straight
        return first_turn(len(self._tiers), at_risk=straight)

    def _succeeded(self, succeeded: AttemptSucceeded) -> Difference | None:
        if not self._ends(succeeded):
            return Difference(f"{succeeded.provider} answered", self._due())
        self._calling, self._answering = None, succeeded
        return None

    def _failed(self, failed: AttemptFailed) -> Difference | None:
        if not self._ends(failed) or self._turn is None:
            return Difference(f"{failed.provider} failed", self._due())
        self._calling = None
        if failed.reason is Reason.CANCELLED:
            pass  # by its client: nothing is decided
        elif failed.retryable is None:
            self._counts.undecidable += 1
        else:
            self._counts.decided += 1
            pause_ms = retry_in_ms(self._tiers[self._turn.tier], failed)
            if pause_ms != failed.retry_in_ms:
                return Difference(_next(failed, failed.retry_in_ms), _next(failed, pause_ms))
            limit_ms = backoff_limit_ms(failed.attempt)
            if (failed.backoff_ms or 0) > limit_ms:
                return Difference(f"a pause of {failed.backoff_ms} ms drawn", f"at most {limit_ms} ms")
        self._turn = next_tier(self._turn) if failed.retry_in_ms is None else next_try(self._turn)
        return None

    def _answered(self, answered: Answered) -> Difference | None:
        given, self._answering = self._answering, None
        recorded = f"answered by {answered.source} ({answered.model})"
        if given is None:
            return Difference(recorded, self._due())
        self._counts.decided += 1
        if (answered.source, answered.model) != (given.provider, given.model):
            return Difference(recorded, f"answered by {given.provider} ({given.model})")
        return None

    def _ends(self, outcome: AttemptSucceeded | AttemptFailed) -> bool:
        call = self._calling
        return call is not None and (outcome.provider, outcome.attempt) == (call.provider, call.attempt)

    def _due(self) -> str:
        """What the next event would have to be."""
        if self._answering is not None:
            return f"answered by {self._answering.provider}"
        if self._calling is not None:
            return f"{self._calling.provider} is being called, try {self._calling.attempt}"
        turn = self._turn or first_turn(len(self._tiers), at_risk=False)
        if turn.tier == len(self._tiers):
            return "no tier is left"
        return _turn_of(self._tiers[turn.tier], turn)


def _turn_of(policy: TierPolicy, turn: Turn) -> str:
    return f"the turn of {policy.provider}, try {turn.attempt}"


def _told(step: AttemptStarted | AttemptSkipped) -> str:
    if isinstance(step, AttemptStarted):
        return _called(step.provider, step.attempt, step.model, step.timeout_ms)
    return f"{step.provider} skipped: {step.reason}"


def _decided(policy: TierPolicy, attempt: int, reason: Reason | None, at_most_ms: int) -> str:
    if reason is None:
        return _called(policy.provider, attempt, policy.model, at_most_ms)
    return f"{policy.provider} skipped: {reason}"


def _called(provider: Provider, attempt: int, model: str, at_most_ms: int) -> str:
    return f"{provider} called, try {attempt}: {model}, at most {at_most_ms} ms"


def _next(failed: AttemptFailed, pause_ms: int | None) -> str:
    after = f"after {failed.provider}'s try {failed.attempt}: "
    return after + ("the next tier" if pause_ms is None else f"again in {pause_ms} ms")
