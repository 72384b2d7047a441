"""The load test's gates pass on a healthy service, and fail on one that refuses."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.service import ROOT, RunningService

pytestmark = pytest.mark.deep


def locust(url: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "locust", "-f", "loadtests/locustfile.py", "--headless", "--only-summary"]
    command += ["--host", url, "--users", "10", "--spawn-rate", "10", "--run-time", "6s"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_the_gates_pass_on_a_healthy_service(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        done = locust(service.url)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "gate missed" not in done.stdout


def test_a_service_that_refuses_misses_the_gate(tmp_path: Path) -> None:
    with RunningService(tmp_path, CLIENT_REQUESTS_PER_MINUTE="1") as service:
        done = locust(service.url)

    assert done.returncode == 1
    assert "gate missed: POST /ouija/ask" in done.stdout


def test_a_service_that_is_not_there_misses_every_gate() -> None:
    done = locust("http://127.0.0.1:1")

    assert done.returncode == 1
    assert "gate missed: GET /health" in done.stdout
