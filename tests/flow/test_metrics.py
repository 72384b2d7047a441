"""/metrics, /dashboard and /health of a running service: the log, told in numbers."""

import random
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.service import AUDIT_TOKEN, ROOT, RunningService, environment, providers
from tests.stubs import StubProviders

AUDIT = {"Authorization": f"Bearer {AUDIT_TOKEN}"}
OPEN_METRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}
FOLDED = (
    *("ouija_questions_total", "ouija_answers_total", "ouija_attempts_total", "ouija_tokens_total"),
    *("ouija_attempt_duration_seconds", "ouija_answer_duration_seconds", "ouija_sessions_total"),
    *("ouija_questions_withdrawn_total", "ouija_questions_abandoned_total", "ouija_erasures_total"),
)

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(service: RunningService) -> Samples:
    text = service.client.get("/metrics").raise_for_status().text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def folded(service: RunningService) -> Samples:
    return {key: value for key, value in samples(service).items() if key[0].startswith(FOLDED)}


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, tuple(sorted(labels.items()))]


def topics(database: Path) -> Counter[str]:
    with sqlite3.connect(database) as connection:
        counted = Counter(dict(connection.execute("SELECT topic, COUNT(*) FROM stored_events GROUP BY topic")))
    connection.close()
    return counted


@pytest.fixture
def stubs() -> Iterator[StubProviders]:
    with StubProviders() as running:
        yield running


def test_an_answer_is_counted_before_it_arrives(tmp_path: Path, stubs: StubProviders) -> None:
    with RunningService(tmp_path, **providers(stubs.groq_url, stubs.ollama_url)) as service:
        for number in range(1, 6):
            assert service.ask("¿Encontraré el amor?").status_code == 200
            found = samples(service)
            assert value(found, "ouija_answers_total", source="groq") == number
            assert value(found, "ouija_questions_total", personality="wise", language="es", category="love") == number
            labels = {"provider": "groq", "outcome": "answered", "reason": "none"}
            assert value(found, "ouija_attempts_total", **labels) == number
            assert value(found, "ouija_answer_duration_seconds_count", source="groq") == number
            assert value(found, "ouija_tokens_total", provider="groq", direction="output") > 0


def test_the_right_tier_is_blamed(tmp_path: Path, stubs: StubProviders) -> None:
    stubs.behave("groq", "status", code=500)
    with RunningService(tmp_path, **providers(stubs.groq_url, stubs.ollama_url, GROQ_MAX_ATTEMPTS="1")) as service:
        for _ in range(7):
            assert service.ask("Will I find love?", language="en").json()["source"] == "ollama"
        found = samples(service)
        health = service.client.get("/health").json()["checks"]
        shown = service.client.get("/dashboard").json()["services"]
    assert value(found, "ouija_attempts_total", provider="groq", outcome="failed", reason="server_error") == 5
    assert value(found, "ouija_attempts_total", provider="groq", outcome="skipped", reason="breaker_open") == 2
    assert value(found, "ouija_breaker_open", provider="groq") == 1
    assert value(found, "ouija_breaker_open", provider="ollama") == 0
    assert health["groq"] == {"status": "degraded", "available": False, "error": "server_error"}
    assert health["ollama"] == {"status": "ok", "available": True, "error": None}
    assert (shown["groq"]["available"], shown["groq"]["breaker"]) == (False, "open")
    assert shown["groq"]["attempts"]["failed"] == {"server_error": 5}
    assert (shown["ollama"]["available"], shown["ollama"]["lastFailureAt"]) == (True, None)


def test_the_numbers_are_equal_after_a_restart_and_after_a_rebuild(tmp_path: Path, stubs: StubProviders) -> None:
    variables = providers(stubs.groq_url, stubs.ollama_url)
    with RunningService(tmp_path, **variables) as service:
        for number in range(12):
            stubs.behave("groq", "ok") if number % 3 else stubs.behave("groq", "status", code=400)
            service.ask(f"Will I travel far, say {number} times?", language="en")
        before = folded(service)
        assert service.stop() == 0
    with RunningService(tmp_path, **variables) as service:
        assert folded(service) == before
        health = service.client.get("/health").json()["checks"]
        assert health["groq"]["available"] is not None  # what was recorded before the restart still counts
        rebuilt = command(tmp_path, "rebuild")
        assert "events folded" in rebuilt
        wait_for(lambda: "views opened" in service.log)
        assert folded(service) == before
        service.ask("Will I travel far once more?", language="en")
        assert sum(v for (name, _), v in folded(service).items() if name == "ouija_answers_total") == 13


def test_prometheus_reads_it_without_complaint(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("component: promtool (Debian: prometheus) is not installed")
    with RunningService(tmp_path) as service:
        service.ask("¿Encontraré el amor?")
        text = service.client.get("/metrics")
        opened = service.client.get("/metrics", headers=OPEN_METRICS)
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=text.content, capture_output=True, timeout=60, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
    assert text.headers["content-type"].startswith("text/plain")
    assert opened.headers["content-type"].startswith("application/openmetrics-text")
    assert opened.text.endswith("# EOF\n")


def test_exemplars_lead_to_the_trace(tmp_path: Path) -> None:
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
    with RunningService(tmp_path) as service:
        service.client.post("/ouija/ask", json={"question": "¿Encontraré el amor?"}, headers=headers)
        text = service.client.get("/metrics", headers=OPEN_METRICS).text
    for name in ("answer", "attempt", "http_request"):
        lines = [line for line in text.splitlines() if line.startswith(f"ouija_{name}_duration_seconds_bucket")]
        assert any(f'trace_id="{trace_id}"' in line for line in lines), name


def test_a_metrics_token_closes_metrics_and_dashboard(tmp_path: Path) -> None:
    with RunningService(tmp_path, METRICS_TOKEN="metrics-token-of-the-tests") as service:
        for path in ("/metrics", "/dashboard", "/dashboard?as_of=1"):
            refused = service.client.get(path)
            assert refused.status_code == 401
            assert refused.headers["WWW-Authenticate"].startswith("Bearer")
            for token in ("metrics-token-of-the-tests", AUDIT_TOKEN):
                headers = {"Authorization": f"Bearer {token}"}
                assert service.client.get(path, headers=headers).status_code == 200


def test_the_dashboard_of_then_wants_a_token_and_a_time(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        assert service.client.get("/dashboard?as_of=1").status_code == 401
        for wrong in ("yesterday", "2026-01-31T12:00:00", "-1", "1e3", "٣"):
            assert service.client.get("/dashboard", params={"as_of": wrong}, headers=AUDIT).status_code == 400
        assert service.client.get("/dashboard", params={"as_of": "9" * 400}, headers=AUDIT).status_code == 200


def test_the_dashboard_as_of_now_is_the_live_one(tmp_path: Path, stubs: StubProviders) -> None:
    with RunningService(tmp_path, **providers(stubs.groq_url, stubs.ollama_url)) as service:
        positions = []
        for number in range(5):
            service.ask(f"¿Viajaré {number} veces?")
            live = service.client.get("/dashboard").json()
            positions.append((live["position"], live))
        for position, live in positions:
            then = service.client.get("/dashboard", params={"as_of": position}, headers=AUDIT).json()
            assert then["totals"] == live["totals"]
            assert then["recent"] == live["recent"]
            assert then["services"]["groq"]["attempts"] == live["services"]["groq"]["attempts"]
            assert then["services"]["groq"]["breaker"] is then["eventStore"]["lag"] is None
        counted = topics(tmp_path / "ouija.db")
    position, live = positions[-1]
    assert position in {sum(counted.values()) - seals for seals in range(counted["ouija.Sealed.v1"] + 1)}
    store = live["eventStore"]
    assert (store["events"], store["projected"], store["lag"], store["projectorStopped"]) == (
        position,
        position,
        0,
        False,
    )
    assert store["sealedPosition"] < position


def test_no_text_is_in_any_of_it(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        answer = service.ask("¿Volverá Esmeralda del Pantano?").json()
        told = "".join(service.client.get(path).text for path in ("/metrics", "/dashboard", "/health"))
    assert "Esmeralda" not in told
    assert answer["response"] not in told
    assert answer["sessionId"] not in told


def test_the_number_of_series_does_not_grow_with_what_is_asked(tmp_path: Path) -> None:
    rng = random.Random(5)
    with RunningService(tmp_path) as service:
        samples(service)  # a scrape is a request as well
        _fuzz(service, rng, 600)
        before = {key for key in samples(service) if "bucket" not in key[0]}
        _fuzz(service, rng, 300)
        new = {key for key in samples(service) if "bucket" not in key[0]} - before
    assert {name for name, _ in new} <= {"ouija_questions_total"}  # within 72 combinations of closed sets


@pytest.mark.deep
@pytest.mark.timeout(600)
def test_ten_thousand_fuzzed_asks_add_no_series(tmp_path: Path) -> None:
    rng = random.Random(6)
    with RunningService(tmp_path) as service:
        samples(service)  # a scrape is a request as well
        _fuzz(service, rng, 1_500)
        before = samples(service).keys()
        _fuzz(service, rng, 10_000)
        assert samples(service).keys() == before


@pytest.mark.deep
@pytest.mark.timeout(900)
def test_a_killed_projector_loses_and_doubles_nothing(tmp_path: Path) -> None:
    rng = random.Random(7)
    for _ in range(30):
        with RunningService(tmp_path) as service:
            for number in range(rng.randrange(1, 25)):
                service.ask(f"¿Volveré {number} veces?")
            time.sleep(rng.random() * 1.5)  # before, while or after the views are written
            service.kill()
    with RunningService(tmp_path) as service:
        found = samples(service)
        counted = topics(tmp_path / "ouija.db")
    assert sum(v for (name, _), v in found.items() if name == "ouija_questions_total") == counted["ouija.Asked.v1"]
    assert value(found, "ouija_answers_total", source="database") == counted["ouija.Answered.v1"]
    unsealing = sum(counted.values()) - counted["ouija.Sealed.v1"]
    assert unsealing <= value(found, "ouija_events_projected_total") <= sum(counted.values())


def _fuzz(service: RunningService, rng: random.Random, count: int) -> None:
    """Asks of every sort, mostly well formed, and paths and methods that are not there."""
    words = ["amor", "trabajo", "salud", "familia", "muerte", "futuro", "dinero", "alma", "love", "job", "xyzzy"]
    for number in range(count):
        kind = rng.random()
        if kind < 0.8:
            fields = {"personality": rng.choice(["wise", "cryptic", "dark", "playful"])}
            question = f"{rng.choice(words)} {rng.choice(words)} {number}?"
            service.ask(question, language=rng.choice(["es", "en"]), **fields)
        elif kind < 0.9:
            service.client.post("/ouija/ask", content=rng.randbytes(20), headers={"Content-Type": "application/json"})
        else:
            service.client.request(rng.choice(["GET", "BREW", "PUT"]), f"/{rng.choice(words)}/{number}")


def command(folder: Path, *arguments: str) -> str:
    """What `ouija-es` prints."""
    return subprocess.run(
        [sys.executable, "-m", "ouija_es", *arguments],
        cwd=ROOT,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout


def wait_for(happened: Callable[[], bool]) -> None:
    """Until it has happened; the test's own timeout ends it."""
    while not happened():
        time.sleep(0.05)
