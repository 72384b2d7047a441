"""What a load test does and must reach: who comes when, what the providers do meanwhile, which gates are put up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ASK = "POST /ouija/ask"
ASK_AGAIN = "POST /ouija/ask, in the session"
REPEAT = "POST /ouija/ask, repeated with its key"
STREAM = "POST /ouija/ask, streamed"
HEALTH = "GET /health"
METRICS = "GET /metrics"
DASHBOARD = "GET /dashboard"
SESSION_HISTORY = "GET /audit/sessions/{sessionId}"
SESSIONS = "GET /audit/sessions"
EVENTS = "GET /audit/events"
PROOF = "GET /audit/proof"
QUESTION_HISTORY = "GET /audit/questions/{questionId}"

ASKS = (ASK, ASK_AGAIN, REPEAT, STREAM)

PLENTY: dict[str, Any] = {"behaviour": "ok", "headers": {"x-ratelimit-remaining-tokens": "1000000"}}
"""Healthy. Without the header the stub says what Groq's free tier says, and the service sends no more than that."""


@dataclass(frozen=True)
class Stage:
    """So many visitors, reached within the first seconds of the stage."""

    seconds: float
    visitors: int
    spawned_per_second: float = 10


@dataclass(frozen=True)
class Mood:
    """What a stub provider does from this second of the run on."""

    second: float
    provider: str
    behaviour: Mapping[str, Any]


@dataclass(frozen=True)
class Scenario:
    """`shares`: of the answers, least and most, by source; `least_asks_per_second` over the whole run.
    `latency_ms`: how long the stub providers take. `service`: settings of a service that the run starts itself.

    """

    stages: tuple[Stage, ...]
    least_asks_per_second: float
    shares: Mapping[str, tuple[float, float]] = field(default_factory=lambda: {"groq": (0.95, 1.0)})
    moods: tuple[Mood, ...] = ()
    latency_ms: float = 50
    service: Mapping[str, str] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return sum(stage.seconds for stage in self.stages)

    def lasting(self, seconds: float) -> "Scenario":
        """The same in another time: stages and moods are stretched or pressed together."""
        factor = seconds / self.seconds
        return Scenario(
            tuple(Stage(it.seconds * factor, it.visitors, it.spawned_per_second) for it in self.stages),
            self.least_asks_per_second,
            self.shares,
            tuple(Mood(it.second * factor, it.provider, it.behaviour) for it in self.moods),
            self.latency_ms,
            self.service,
        )


_WELL, _SLOW, _HANG = PLENTY, PLENTY | {"latency_ms": 1_500}, {"behaviour": "hang"}
_REFUSES = {"behaviour": "status", "code": 429, "headers": {"retry-after": "2"}}

SCENARIOS: dict[str, Scenario] = {
    # Twenty people for half a minute: what a deployment must bear at once.
    "smoke": Scenario((Stage(30, 20),), least_asks_per_second=5),
    # An evening: as many as one small machine is expected to see.
    "steady": Scenario((Stage(300, 50),), least_asks_per_second=15),
    # Somebody has shared the link.
    "spike": Scenario(
        (Stage(30, 10), Stage(60, 150, 50), Stage(60, 10, 50), Stage(30, 10)),
        least_asks_per_second=10,
    ),
    # An hour at a walk: what leaks or piles up shows here.
    "soak": Scenario((Stage(3_600, 20),), least_asks_per_second=5),
    # The providers fall ill one after the other while people ask; answers come from whoever is well.
    "faults": Scenario(
        (Stage(150, 30),),
        least_asks_per_second=3,
        shares={"groq": (0.1, 0.9), "ollama": (0.02, 0.9), "database": (0.001, 0.7)},
        moods=(
            Mood(20, "groq", _SLOW),
            Mood(40, "groq", _REFUSES),
            Mood(60, "groq", _HANG),
            Mood(75, "ollama", _HANG),
            Mood(100, "groq", _WELL),
            Mood(100, "ollama", {"behaviour": "ok"}),
        ),
        service={"BREAKER_OPEN_SECONDS": "5"},
    ),
}
