"""What only the process knows, as Prometheus instruments in a registry of their own."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

COMMIT_EDGES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
PROJECTION_EDGES = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1)
STORE_ERRORS = ("busy", "full", "io", "conflict", "other")


class Instruments:
    """One set for one application: a global registry would not bear a second one."""

    def __init__(self) -> None:
        # A second series for every counter, which no rule here asks for.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.commit_seconds = Histogram(
            "ouija_store_commit_seconds",
            "Time of one commit of the event log, for everybody who waited for it.",
            buckets=COMMIT_EDGES,
            registry=self.registry,
        )
        self.projection_seconds = Histogram(
            "ouija_projection_seconds",
            "Time to fold what was committed since the last fold; whoever reads the numbers has it folded first.",
            buckets=PROJECTION_EDGES,
            registry=self.registry,
        )
        self._store_errors = Counter(
            "ouija_store_errors", "Appends to the event log that failed.", ["reason"], registry=self.registry
        )
        for reason in STORE_ERRORS:
            self._store_errors.labels(reason)

    def store_failed(self, reason: str) -> None:
        """An append to the event log failed."""
        self._store_errors.labels(reason).inc()

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """A gauge that is read when it is scraped."""
        Gauge(name, text, registry=self.registry).set_function(value)
