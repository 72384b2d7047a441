"""The smoke test passes on a service that is well and fails on everything else."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.service import ROOT, RunningService

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def smoke(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "scripts/smoke.py", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def test_it_passes_on_a_service_that_is_well(tmp_path: Path) -> None:
    with RunningService(tmp_path) as service:
        done = smoke(service.url)

    assert done.returncode == 0, done.stderr
    assert "/ouija/ask: answered by database" in done.stdout


def test_it_tells_the_deployed_commit_from_another(tmp_path: Path) -> None:
    with RunningService(tmp_path, KOYEB_GIT_SHA=COMMIT) as service:
        same, other = smoke(service.url, "--commit", COMMIT), smoke(service.url, "--commit", "f" * 40)

    assert same.returncode == 0, same.stderr
    assert other.returncode == 1
    assert COMMIT in other.stderr


def test_it_fails_where_the_answer_is_an_error(tmp_path: Path) -> None:
    with RunningService(tmp_path, CLIENT_REQUESTS_PER_MINUTE="1") as service:
        first, second = smoke(service.url), smoke(service.url)

    assert first.returncode == 0, first.stderr
    assert second.returncode == 1
    assert "status 429" in second.stderr


def test_it_fails_where_nobody_listens() -> None:
    done = smoke("http://127.0.0.1:1")

    assert done.returncode == 1
    assert done.stderr.startswith("smoke: http://127.0.0.1:1/health")


def test_it_opens_nothing_but_http(tmp_path: Path) -> None:
    assert smoke(f"file://{tmp_path}").returncode == 1


@pytest.mark.deep
@pytest.mark.timeout(300)
def test_the_wheel_works_as_installed(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(ROOT, checkout, ignore=shutil.ignore_patterns(".git", ".venv*", ".*_cache", "__pycache__", "data"))
    command = ["bash", "scripts/check-wheel.sh", str(tmp_path / "dist")]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "the wheel works as installed" in done.stdout
