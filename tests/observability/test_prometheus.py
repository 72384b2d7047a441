"""A real Prometheus scrapes a service for a minute under load, over a restart: what it tells is what the log holds."""

import shutil
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from tests.observability.files import targets
from tests.observability.servers import (
    ALERTMANAGER_PROGRAM,
    PROMETHEUS_PROGRAM,
    RunningAlertmanager,
    RunningPrometheus,
    wait_for,
)
from tests.service import RunningService, providers
from tests.stubs import StubProviders

pytestmark = [pytest.mark.deep, pytest.mark.timeout(600)]

LOAD_SECONDS = 30
"""Before the restart and again behind it."""
FOLDED = ("ouija_answers_total", "ouija_attempts_total", "ouija_questions_total", "ouija_events_recorded_total")


@pytest.fixture
def prometheus(tmp_path: Path, require: Callable[[str, bool], None]) -> Iterator[RunningPrometheus]:
    require("Prometheus (Debian: prometheus)", shutil.which(PROMETHEUS_PROGRAM) is not None)
    require("Alertmanager (Debian: prometheus-alertmanager)", shutil.which(ALERTMANAGER_PROGRAM) is not None)
    folders = [tmp_path / "alertmanager", tmp_path / "prometheus"]
    for folder in folders:
        folder.mkdir()
    with (
        RunningAlertmanager(folders[0]) as alertmanager,
        RunningPrometheus(folders[1], alertmanager) as running,
    ):
        yield running


class Load:
    """Asks from two threads while Groq fails and recovers; `answered` counts the answers by source."""

    def __init__(self, service: RunningService, stubs: StubProviders) -> None:
        self._service, self._stubs = service, stubs
        self.answered: Counter[str] = Counter()

    def run(self, seconds: float) -> None:
        threads = [threading.Thread(target=self._ask, args=(seconds, number)) for number in range(2)]
        for thread in threads:
            thread.start()
        for part in range(6):
            if part % 2:
                self._stubs.behave("groq", "ok")
            else:
                self._stubs.behave("groq", "status", code=400)
            time.sleep(seconds / 6)
        for thread in threads:
            thread.join()

    def _ask(self, seconds: float, number: int) -> None:
        end = time.monotonic() + seconds
        sources = []
        while time.monotonic() < end:
            question = "Will I find love?" if number else "¿Tendré trabajo?"
            sources.append(self._service.ask(question).raise_for_status().json()["source"])
            time.sleep(0.01)
        self.answered.update(sources)


def events(database: Path, topic: str) -> list[dict[str, str]]:
    """The events of a sort in the log."""
    connection = sqlite3.connect(database)
    try:
        rows = connection.execute(
            "SELECT state FROM stored_events WHERE topic = ? ORDER BY position", [topic]
        ).fetchall()
    finally:
        connection.close()
    return [msgspec.json.decode(state) for (state,) in rows]


def count(database: Path) -> int:
    connection = sqlite3.connect(database)
    try:
        (counted,) = connection.execute("SELECT COUNT(*) FROM stored_events").fetchone()
    finally:
        connection.close()
    return int(counted)


def seen_all(prometheus: RunningPrometheus, service: RunningService) -> Callable[[], bool]:
    """Whether Prometheus has scraped since now what is in the log, and its rules have seen that."""
    now = time.time()

    def seen() -> bool:
        scraped_at = prometheus.value("timestamp(ouija_events_recorded_total)")
        computed_at = prometheus.value('timestamp(instance_objective:ouija_asks:total{objective="availability"})')
        told = prometheus.value("ouija_events_recorded_total")
        return now < scraped_at < computed_at and told == count(service.database)

    return seen


def test_what_prometheus_tells_is_what_the_log_holds(tmp_path: Path, prometheus: RunningPrometheus) -> None:
    data = tmp_path / "data"
    data.mkdir()
    with StubProviders() as stubs:
        variables = providers(stubs.groq_url, stubs.ollama_url, BREAKER_FAILURES="1000000")
        with RunningService(data, **variables) as service:
            prometheus.scrape(service.url)
            load = Load(service, stubs)
            load.run(2)  # so that every series is there
            wait_for(seen_all(prometheus, service))
            before = {source: prometheus.value(f'ouija_answers_total{{source="{source}"}}') for source in load.answered}
            began = prometheus.samples("ouija_events_recorded_total")[-1]
            load.answered.clear()
            load.run(LOAD_SECONDS)
            wait_for(seen_all(prometheus, service))
            assert service.stop() == 0
        with RunningService(data, **variables) as service:
            prometheus.scrape(service.url)
            again = Load(service, stubs)
            again.run(LOAD_SECONDS)
            wait_for(seen_all(prometheus, service))
            asked = load.answered + again.answered
            ended = prometheus.samples("ouija_events_recorded_total")[-1]

            totals_are_the_log(prometheus, service.database)
            rates_are_the_log(prometheus, began, ended, asked)
            for source, number in asked.items():
                assert prometheus.value(f'ouija_answers_total{{source="{source}"}}') - before[source] == number
            the_dashboard_has_something_to_show(prometheus)
            assert prometheus.ask('ALERTS{alertstate="firing"}') == []
        the_end_is_told(prometheus)


def totals_are_the_log(prometheus: RunningPrometheus, database: Path) -> None:
    """Every total is the number of such events."""
    answered, asked = events(database, "ouija.Answered.v1"), events(database, "ouija.Asked.v1")
    assert prometheus.by("source", "ouija_answers_total") == Counter(it["source"] for it in answered)
    for label in ("category", "language", "personality"):
        counted = Counter(it[label] for it in asked)
        assert prometheus.by(label, f"sum by ({label}) (ouija_questions_total)") == counted
    for outcome, topic in (("answered", "Succeeded"), ("failed", "Failed"), ("skipped", "Skipped")):
        counted = Counter(it["provider"] for it in events(database, f"ouija.Attempt{topic}.v1"))
        told = prometheus.by("provider", f'sum by (provider) (ouija_attempts_total{{outcome="{outcome}"}})')
        assert told == counted, outcome
    late = sum(it["durationMs"] > 2500 for it in answered)
    assert prometheus.value('instance_objective:ouija_bad_asks:total{objective="answers_in_time"}') == late
    assert prometheus.value('instance_objective:ouija_bad_asks:total{objective="availability"}') == 0


def rates_are_the_log(
    prometheus: RunningPrometheus, began: tuple[str, float], ended: tuple[str, float], asked: Counter[str]
) -> None:
    """`increase` and `rate` from one sample to another, over the restart: nothing is lost, counted twice or reset."""
    milliseconds = round((float(ended[0]) - float(began[0])) * 1000)
    window = f"[{milliseconds}ms] @ {ended[0]}"
    for name in FOLDED:
        assert prometheus.value(f"sum(resets({name}{window}))") == 0, name
    assert prometheus.value(f"changes(process_start_time_seconds{window})") == 1
    recorded = ended[1] - began[1]
    assert prometheus.value(f"increase(ouija_events_recorded_total{window})") == pytest.approx(recorded)
    per_second = recorded * 1000 / milliseconds
    assert prometheus.value(f"rate(ouija_events_recorded_total{window})") == pytest.approx(per_second)
    increased = prometheus.by("source", f"increase(ouija_answers_total{window})")
    assert increased == pytest.approx(dict(asked))
    # What the process counts itself begins anew, and the rules still see every ask.
    asks = [value for _, value in prometheus.samples('instance_objective:ouija_asks:total{objective="availability"}')]
    steps = [new - old if new >= old else new for old, new in pairwise(asks)]
    assert asks[0] + sum(steps) == prometheus.value("sum(ouija_answers_total)")
    assert sum(new < old for old, new in pairwise(asks)) == 1


def the_dashboard_has_something_to_show(prometheus: RunningPrometheus) -> None:
    """Every expression gives something, with the labels of its legend; and single answers lead to their traces."""
    for expression, labels in targets():
        found = prometheus.ask(expression)
        assert found, expression
        assert all(labels <= it["metric"].keys() for it in found), expression
    for exemplars in prometheus.exemplars("ouija_answer_duration_seconds_bucket"):
        assert len(exemplars["labels"]["trace_id"]) == 32


def the_end_is_told(prometheus: RunningPrometheus) -> None:
    """The service is gone: Alertmanager hears of it, with the address of its runbook."""

    def told() -> list[dict[str, dict[str, str]]]:
        return [it for it in prometheus.alertmanager.alerts() if it["labels"]["alertname"] == "OuijaTargetDown"]

    (alert,) = wait_for(told)
    assert alert["labels"] == {
        "alertname": "OuijaTargetDown",
        "severity": "page",
        "job": "ouija",
        "instance": "service",
    }
    assert alert["annotations"]["runbook_url"].endswith("/observability/runbooks/target_down.md")
