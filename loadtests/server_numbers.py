"""What the service itself counts, from /metrics before and after a run."""

from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

HISTOGRAM = "ouija_answer_duration_seconds"


@dataclass(frozen=True)
class ServerNumbers:
    """Answers recorded, by source, and those that took at most ten seconds (the bucket le="10")."""

    by_source: dict[str, int]
    answers_within_10s: int

    @property
    def answers(self) -> int:
        return sum(self.by_source.values())

    def since(self, earlier: "ServerNumbers") -> "ServerNumbers":
        return ServerNumbers(
            {source: count - earlier.by_source.get(source, 0) for source, count in self.by_source.items()},
            self.answers_within_10s - earlier.answers_within_10s,
        )


def read(exposition: str) -> ServerNumbers:
    """The numbers in Prometheus' text format."""
    by_source: dict[str, int] = {}
    within = 0
    for name, labels, value in _samples(exposition):
        if name == f"{HISTOGRAM}_count":
            by_source[labels["source"]] = int(value)
        elif name == f"{HISTOGRAM}_bucket" and labels["le"] in ("10", "10.0"):
            within += int(value)
    return ServerNumbers(by_source, within)


def _samples(exposition: str) -> Iterator[tuple[str, dict[str, str], float]]:
    for family in text_string_to_metric_families(exposition):
        if family.name == HISTOGRAM:
            for sample in family.samples:
                yield sample.name, sample.labels, sample.value
