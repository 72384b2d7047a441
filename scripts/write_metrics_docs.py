"""Writes `observability/METRICS.md` from what a running service shows at /metrics, and from the code.

`python -m scripts.write_metrics_docs [FILE]`: starts a service with stub providers, asks it until every metric has a
value, and writes the page (FILE: to another place).
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from ouija_es.domain.vocabulary import Category, Language, Outcome, Personality, Provider, Reason
from ouija_es.projections.totals import Totals
from ouija_es.resources.exposition import totals_families
from ouija_es.telemetry.instruments import STORE_ERRORS
from tests.service import RunningService, providers
from tests.stubs import StubProviders

FILE = Path(__file__).resolve().parents[1] / "observability/METRICS.md"
HEAD = """# Metrics

What `GET /metrics` shows, as Prometheus text or OpenMetrics. `scripts/write_metrics_docs.py` writes this page from a
running service.

Those *of the log* are a fold of it: they have the same values after a restart and after a rebuild, and in every
instance that reads the log, so they are never summed over instances. The others begin anew with the process. A series
of a counter of the log appears with its first event.
"""
VALUES: dict[str, tuple[str, ...]] = {
    "personality": tuple(Personality),
    "language": tuple(Language),
    "category": tuple(Category),
    "source": tuple(Provider),
    "provider": tuple(Provider),
    "outcome": tuple(Outcome),
    "reason": ("none", *Reason),
    "direction": ("input", "output"),
}
OWN_VALUES = {("ouija_store_errors", "reason"): STORE_ERRORS}
"""Where a label has another set of values than elsewhere."""
OF_THE_LOG = {
    *("ouija_events_recorded", "ouija_events_projected", "ouija_projector_stopped"),
    *("ouija_ledger_sealed_position", "ouija_ledger_mismatch"),
}
"""What the log's rows tell beside the totals."""
OPEN = {
    "method": "the standard methods, or `other`",
    "route": "the template of the route, such as `/ouija/sessions/{session_id:uuid}`, or `other`",
    "status": "HTTP status",
    "version": "of the package",
    "python": "version of Python",
    "generation": "of the garbage collector: `0`, `1`, `2`",
}


def main() -> int:
    """Exit code 0."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
    with tempfile.TemporaryDirectory() as folder:
        path.write_text(page(scrape(Path(folder))), encoding="utf-8")
    return 0


def scrape(folder: Path) -> str:
    """/metrics of a service that has seen everything: each tier, a failure, a skip, tokens."""
    with StubProviders() as stubs:
        variables = providers(stubs.groq_url, stubs.ollama_url, BREAKER_FAILURES="1")
        with RunningService(folder, **variables) as service:
            for behaviour in ("ok", "garbage", "ok"):
                stubs.behave("groq", behaviour)
                service.ask("¿Encontraré el amor?").raise_for_status()
            return service.client.get("/metrics").raise_for_status().text


def page(text: str) -> str:
    """The page about a scrape."""
    families = sorted(text_string_to_metric_families(text), key=lambda it: (not it.name.startswith("ouija_"), it.name))
    of_the_log = OF_THE_LOG | {family.name for family in totals_families(Totals())}
    rows = ["| metric | type | labels | of | is |", "|---|---|---|---|---|"]
    labels: set[str] = set()
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        own = labels_of(family)
        labels |= set(own)
        shown = ", ".join(f"`{label}`" for label in own) or "–"
        origin = "the log" if family.name in of_the_log else "the process"
        rows.append(f"| `{name}` | {family.type} | {shown} | {origin} | {family.documentation} |")
    rows += ["", "## Labels", "", *label_rows(labels), "", "## Buckets", "", *buckets(families), ""]
    return "\n".join([HEAD, *rows])


def labels_of(family: Metric) -> list[str]:
    """The labels that tell its series apart."""
    return sorted({label for sample in family.samples for label in sample.labels if label != "le"})


def label_rows(labels: set[str]) -> Iterator[str]:
    """A table of what each label can be: every one is of a closed set, none carries input."""
    yield "| label | values |"
    yield "|---|---|"
    for label in sorted(labels):
        if label in OPEN:
            yield f"| `{label}` | {OPEN[label]} |"
            continue
        yield f"| `{label}` | {_words(VALUES[label])} |"
        for (metric, other), values in OWN_VALUES.items():
            if other == label:
                yield f"| `{label}` of `{metric}_total` | {_words(values)} |"


def buckets(families: list[Metric]) -> Iterator[str]:
    """A table of the upper edges of the histograms."""
    yield "| histogram | upper edges |"
    yield "|---|---|"
    for family in families:
        if family.type == "histogram":
            edges = sorted({float(it.labels["le"]) for it in family.samples if it.name.endswith("_bucket")})
            yield f"| `{family.name}` | {' '.join(f'{edge:g}' for edge in edges[:-1])} |"


def _words(values: tuple[str, ...]) -> str:
    return " ".join(f"`{value}`" for value in values)


if __name__ == "__main__":
    raise SystemExit(main())
