"""The load test's gates hold on a healthy service, and are missed by one that is not."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service import ROOT, RunningService
from tests.stubs import StubProviders

pytestmark = [pytest.mark.deep, pytest.mark.timeout(240)]


def locust(results: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "locust", "-f", "loadtests/locustfile.py", "--headless", "--only-summary"]
    command += ["--results", str(results), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def stubs() -> Iterator[StubProviders]:
    with StubProviders() as running:
        yield running


def test_smoke_holds_every_gate_on_service_and_stubs_that_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_RESULTS", str(tmp_path))
    command = [sys.executable, "-m", "loadtests.load", "--scenario", "smoke"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=180)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "every gate held" in done.stdout
    summary = json.loads((tmp_path / "load-smoke/summary.json").read_text())
    assert summary["missed"] == []
    assert summary["named"]["POST /ouija/ask, streamed"]["requests"] > 0
    assert "<html" in (tmp_path / "load-smoke/report.html").read_text()


def test_the_faults_scenario_makes_the_stub_providers_ill(tmp_path: Path, stubs: StubProviders) -> None:
    with RunningService(tmp_path) as service:  # asks no provider: what is told to the stubs stays visible
        locust(tmp_path, "--host", service.url, "--stubs", stubs.url, "--scenario", "faults", "--seconds", "3")

    assert stubs.state()["ollama"]["behaviour"] == {"behaviour": "ok"}
    assert "x-ratelimit-remaining-tokens" in stubs.state()["groq"]["behaviour"]["headers"]


def test_a_service_that_refuses_misses_the_gate_of_errors(tmp_path: Path) -> None:
    with RunningService(tmp_path, CLIENT_REQUESTS_PER_MINUTE="1") as service:
        done = locust(tmp_path, "--host", service.url, "--seconds", "6")

    assert done.returncode == 1
    assert "gate missed: POST /ouija/ask: " in done.stdout


def test_an_answer_from_the_wrong_tier_misses_the_gate_of_sources(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        done = locust(tmp_path, "--host", service.url, "--seconds", "6", "--share", "groq=0.5", "--tags", "asks")

    assert done.returncode == 1
    assert "gate missed: sources: 0.0% of" in done.stdout
    assert "GET /health" not in done.stdout


def test_a_service_that_is_not_there_misses_every_gate(tmp_path: Path) -> None:
    done = locust(tmp_path, "--host", "http://127.0.0.1:1", "--seconds", "4")

    assert done.returncode == 1
    assert "gate missed: GET /health: " in done.stdout
    assert "gate missed: server: /metrics did not tell" in done.stdout


def test_a_service_with_a_groq_key_is_asked_seldom(tmp_path: Path, stubs: StubProviders) -> None:
    key = {"GROQ_API_KEY": "gsk_key-of-the-tests", "GROQ_URL": stubs.groq_url}
    with RunningService(tmp_path, **key) as service:
        done = locust(tmp_path, "--host", service.url, "--seconds", "10", "--tags", "asks")

    assert "24 asks a minute" in done.stdout
    # Ten seconds of it, and as many of the fifteen that visitors get to finish as they use.
    assert 1 <= stubs.calls("groq") <= 11
