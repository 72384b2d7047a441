"""What a load test must reach. A gate that nothing was measured for is missed, too."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from loadtests.scenarios import ASKS, HEALTH
from loadtests.server_numbers import ServerNumbers

ASK_MS, ASK_SHARE = 10_000, 0.95
"""Locust rounds percentiles of 10 s and more to whole seconds, 10,499 ms to 10,000: at 10,000 the gate is missed."""
HEALTH_MS, HEALTH_SHARE = 1_000, 0.99
ERROR_SHARE = 0.001


@dataclass(frozen=True)
class Seen:
    """One named request as the clients saw it."""

    requests: int
    failures: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Run:
    """A run's figures. `expected`: the requests that must be there; `sources`: who gave the answers that clients got.

    `sources` leaves out answers that were sent a second time: the server counts those once. `server`: what the
    server itself counted meanwhile, None if it did not say. `alone`: nobody else asked it; `visitors`: how many asks
    can have been cut off at the end.
    """

    seconds: float
    named: Mapping[str, Seen]
    expected: tuple[str, ...]
    sources: Mapping[str, int]
    shares: Mapping[str, tuple[float, float]]
    least_asks_per_second: float
    server: ServerNumbers | None
    alone: bool
    visitors: int
    moods_missed: list[str] = field(default_factory=list)

    @property
    def asks_per_second(self) -> float:
        return sum(self.named[name].requests for name in ASKS if name in self.named) / max(self.seconds, 0.001)


def missed(run: Run) -> list[str]:
    """One line for each gate that is missed."""
    return [*_requests(run), *_rate(run), *_shares(run), *_server(run), *run.moods_missed]


def _requests(run: Run) -> Iterator[str]:
    for name in dict.fromkeys((*run.expected, *run.named)):
        seen = run.named.get(name)
        if seen is None or not seen.requests:
            yield f"{name}: no samples"
            continue
        if name in ASKS and seen.p95_ms >= ASK_MS:
            yield f"{name}: p95 {seen.p95_ms:.0f} ms, must be under {ASK_MS}"
        if name == HEALTH and seen.p99_ms >= HEALTH_MS:
            yield f"{name}: p99 {seen.p99_ms:.0f} ms, must be under {HEALTH_MS}"
        if seen.failures / seen.requests >= ERROR_SHARE:
            yield f"{name}: {seen.failures} of {seen.requests} failed, must be under {ERROR_SHARE:.1%}"


def _rate(run: Run) -> Iterator[str]:
    asked = any(name in ASKS for name in run.expected)
    if asked and run.asks_per_second < run.least_asks_per_second:
        yield f"rate: {run.asks_per_second:.2f} asks/s, must reach {run.least_asks_per_second:.2f}"


def _shares(run: Run) -> Iterator[str]:
    answers = sum(run.sources.values())
    if not any(name in ASKS for name in run.expected):
        return
    if not answers:
        yield "sources: no answers"
        return
    for source, (least, most) in run.shares.items():
        share = run.sources.get(source, 0) / answers
        if not least <= share <= most:
            yield f"sources: {share:.1%} of {answers} answers from {source}, must be {least:.1%} to {most:.1%}"


def _server(run: Run) -> Iterator[str]:
    """The clients' figures against the server's own: what only one of the two saw is a mistake of the other."""
    if not any(name in ASKS for name in run.expected):
        return
    if run.server is None:
        yield "server: /metrics did not tell what it counted"
        return
    counted, in_time = run.server.answers, run.server.answers_within_10s
    if counted and in_time / counted < ASK_SHARE:
        yield f"server: {in_time} of its {counted} answers within 10 s, must be {ASK_SHARE:.0%}"
    for source, got in run.sources.items():
        own = run.server.by_source.get(source, 0)
        if own < got:
            yield f"server: counted {own} answers from {source}, clients got {got}"
    extra = counted - sum(run.sources.values())
    if run.alone and extra > run.visitors:
        yield f"server: counted {extra} answers more than clients got; at most {run.visitors} can have been cut off"
