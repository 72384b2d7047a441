"""Asks the real service, plain or streamed, and holds what came against what was recorded."""

import time
from dataclasses import dataclass
from typing import Any

from tests.flow.conftest import history
from tests.flow.events import Event, stream
from tests.service import RunningService

DEADLINE_SECONDS = 2.0
GRACE_SECONDS = 0.25
"""What the promise adds to the deadline for the last commit and the way out."""
FAST = {
    "GROQ_TIMEOUT_SECONDS": "0.6",
    "OLLAMA_TIMEOUT_SECONDS": "0.6",
    "ANSWER_DEADLINE_SECONDS": str(DEADLINE_SECONDS),
    "BREAKER_FAILURES": "1000000",
}
"""A provider that hangs costs a test 0.6 s, and its failures do not open its breaker."""
QUESTION = "¿Tendré suerte mañana?"
OUTCOMES = {"AttemptFailed": "failed", "AttemptSucceeded": "answered", "AttemptSkipped": "skipped"}
STEPS = {
    "failed": ["AttemptStarted", "AttemptFailed"],
    "answered": ["AttemptStarted", "AttemptSucceeded"],
    "skipped": ["AttemptSkipped"],
}

Try = tuple[str, str, str | None]


@dataclass(frozen=True)
class Asked:
    """An answer with status 200. `seconds` by the client's clock; `events` are a stream's, without the last."""

    body: dict[str, Any]
    seconds: float
    events: list[Event] | None

    @property
    def tries(self) -> list[Try]:
        return [(it["provider"], it["outcome"], it["reason"]) for it in self.body["attempts"]]

    @property
    def discards(self) -> list[str]:
        return [data["reason"] for name, data in self.events or [] if name == "discard"]


def asked(service: RunningService, mode: str, question: str = QUESTION) -> Asked:
    """`mode` is `plain` or `stream`."""
    started_at = time.monotonic()
    if mode == "stream":
        *events, (name, body) = stream(service, question)
        seconds = time.monotonic() - started_at
        assert name == "answer"
        check_stream(events, body)
        return Asked(body, seconds, events)
    answer = service.ask(question)
    seconds = time.monotonic() - started_at
    assert answer.status_code == 200, answer.text
    return Asked(answer.json(), seconds, None)


def check_stream(events: list[Event], body: dict[str, Any]) -> None:
    """Each try in order; what a failed one had shown is discarded, once, for its reason; what stays is the answer."""
    assert [data for name, data in events if name == "attempt"] == body["attempts"]
    shown, discarded = "", False
    for name, data in events:
        match name:
            case "delta":
                assert not discarded
                shown += data["text"]
            case "discard":
                assert shown
                shown, discarded, reason = "", True, data["reason"]
            case "attempt":
                if discarded:
                    assert (data["outcome"], data["reason"]) == ("failed", reason)
                else:
                    assert bool(shown) == (data["outcome"] == "answered")
                discarded = False
            case _:
                raise AssertionError(name)
    assert shown.strip() == body["response"]


def check_time(it: Asked, deadline_seconds: float = DEADLINE_SECONDS) -> None:
    """Answered in time by the service's clock and by the client's."""
    assert it.body["responseTime"] <= (deadline_seconds + GRACE_SECONDS) * 1000
    assert it.seconds <= deadline_seconds + GRACE_SECONDS


def check_record(service: RunningService, it: Asked) -> dict[str, list[int | None]]:
    """The record says exactly what the client was told; the HTTP statuses of the failures, by provider."""
    events = history(service, it.body["questionId"])
    steps = [(name, data) for name, data in events if name in OUTCOMES]
    recorded = [(data["provider"], OUTCOMES[name], data["reason"], data.get("durationMs", 0)) for name, data in steps]
    told = [(*tried, shown["durationMs"]) for tried, shown in zip(it.tries, it.body["attempts"], strict=True)]
    assert recorded == told
    expected = [step for _, outcome, _ in it.tries for step in STEPS[outcome]]
    assert [name for name, _ in events] == ["Asked", *expected, "Answered"]
    answered = events[-1][1]
    assert answered["texts"]["response"] == it.body["response"]
    assert (answered["source"], answered["model"]) == (it.body["source"], it.body["model"])
    assert answered["durationMs"] == it.body["responseTime"]
    statuses: dict[str, list[int | None]] = {}
    for name, data in steps:
        if name == "AttemptFailed":
            statuses.setdefault(data["provider"], []).append(data["status"])
    return statuses
