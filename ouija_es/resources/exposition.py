"""The folded numbers in Prometheus' terms."""

import platform
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from ouija_es import __version__
from ouija_es.fallback.tier import Tier
from ouija_es.projections.histogram import EDGES_SECONDS, Histogram
from ouija_es.projections.projector import Projector
from ouija_es.projections.totals import Totals
from ouija_es.shedding import Shedding

_EDGES = (*map(str, EDGES_SECONDS), "+Inf")

Bucket = tuple[str, float] | tuple[str, float, Exemplar]
Example = tuple[str, float, float]
"""A duration of a bucket: whose trace it was, seconds, and when (Unix time)."""


class FoldedMetrics(Collector):
    """What the log tells, read from the projector's state; and what the tiers know of their providers now."""

    def __init__(self, projector: Projector, tiers: Sequence[Tier], shedding: Shedding) -> None:
        self._projector = projector
        self._shedding = shedding
        self._tiers = [tier for tier in tiers if tier.breaker is not None]

    def collect(self) -> Iterable[Metric]:
        """All families."""
        yield from totals_families(self._projector.state.totals)
        yield from self._log()
        yield from self._providers()
        yield _counter("ouija_requests_shed", "Asks refused early.", self._shedding.shed)
        build = GaugeMetricFamily("ouija_build_info", "Always 1.", labels=["version", "python"])
        build.add_metric([__version__, platform.python_version()], 1)
        yield build

    def _log(self) -> Iterable[Metric]:
        projector = self._projector
        yield _counter("ouija_events_recorded", "Events in the log.", projector.events_recorded)
        yield _counter("ouija_events_projected", "Events folded into the views.", projector.state.ordinal)
        yield GaugeMetricFamily(
            "ouija_projection_lag_events", "Events in the log that are not folded yet.", projector.lag_events
        )
        yield GaugeMetricFamily(
            "ouija_projector_stopped", "1 after an event that cannot be read.", float(projector.stopped_at is not None)
        )
        yield GaugeMetricFamily(
            "ouija_ledger_sealed_position", "Up to where the log is sealed.", projector.state.sealed_position
        )
        yield GaugeMetricFamily(
            "ouija_ledger_mismatch", "1 if the log is not what it claims.", float(projector.state.mismatch is not None)
        )

    def _providers(self) -> Iterable[Metric]:
        opened = GaugeMetricFamily("ouija_breaker_open", "1 while a provider is left alone.", labels=["provider"])
        remaining = GaugeMetricFamily(
            "ouija_provider_requests_remaining", "Requests that may still be sent this minute.", labels=["provider"]
        )
        for tier in self._tiers:
            opened.add_metric([tier.name], float(tier.breaker is not None and tier.breaker.is_open))
            if tier.minute is not None:
                remaining.add_metric([tier.name], tier.minute.remaining())
        return opened, remaining


def totals_families(totals: Totals) -> Iterable[Metric]:
    """What is counted by folding the log: the same after a restart and after a rebuild."""
    questions = CounterMetricFamily(
        "ouija_questions", "Questions asked.", labels=["personality", "language", "category"]
    )
    for asked, count in totals.questions.items():
        questions.add_metric([asked.personality, asked.language, asked.category], count)
    yield questions
    answers = CounterMetricFamily("ouija_answers", "Answers recorded.", labels=["source"])
    for source, count in totals.answers.items():
        answers.add_metric([source], count)
    yield answers
    attempts = CounterMetricFamily(
        "ouija_attempts", "Tries of a provider, skipped ones too.", labels=["provider", "outcome", "reason"]
    )
    for tried, count in totals.attempts.items():
        attempts.add_metric([tried.provider, tried.outcome, tried.reason], count)
    yield attempts
    tokens = CounterMetricFamily(
        "ouija_tokens", "Tokens, as the provider counts them.", labels=["provider", "direction"]
    )
    for provider, counted in totals.tokens.items():
        tokens.add_metric([provider, "input"], counted.input)
        tokens.add_metric([provider, "output"], counted.output)
    yield tokens
    yield from _durations(totals)
    yield _counter("ouija_sessions", "Sessions opened.", totals.sessions)
    yield _counter("ouija_questions_withdrawn", "Questions whose client went away.", totals.withdrawn)
    yield _counter("ouija_questions_abandoned", "Questions found unfinished.", totals.abandoned)
    yield _counter("ouija_erasures", "Sessions erased.", totals.erasures)


def _durations(totals: Totals) -> Iterable[Metric]:
    attempts = HistogramMetricFamily(
        "ouija_attempt_duration_seconds", "How long tries took; skips are none.", labels=["provider", "outcome"]
    )
    for tried, durations in totals.attempt_durations.items():
        _add(attempts, [tried.provider, tried.outcome], durations)
    yield attempts
    answers = HistogramMetricFamily("ouija_answer_duration_seconds", "From the door to the answer.", labels=["source"])
    for source, durations in totals.answer_durations.items():
        _add(answers, [source], durations)
    yield answers


def _add(family: HistogramMetricFamily, labels: Sequence[str], histogram: Histogram) -> None:
    examples = {
        bucket: (it.trace_id, it.duration_ms / 1000, it.at.timestamp()) for bucket, it in histogram.examples.items()
    }
    family.add_metric(labels, cumulated(histogram.counts, examples), histogram.sum_ms / 1000)


def cumulated(counts: Sequence[int], examples: Mapping[int, Example]) -> list[Bucket]:
    """A histogram's buckets, each with all below it, from how many fell into each of `EDGES_SECONDS` alone."""
    buckets: list[Bucket] = []
    for number, (edge, total) in enumerate(zip(_EDGES, accumulate(counts), strict=True)):
        example = examples.get(number)
        if example is None:
            buckets.append((edge, float(total)))
        else:
            trace_id, seconds, at = example
            buckets.append((edge, float(total), Exemplar({"trace_id": trace_id}, seconds, at)))
    return buckets


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(name, text, value)
