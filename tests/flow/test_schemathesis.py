"""The service does what its OpenAPI document says, whatever schemathesis thinks of."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.service import AUDIT_TOKEN, RunningService

MAX_EXAMPLES = 60


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """Without models: the table answers."""
    with RunningService(tmp_path_factory.mktemp("data")) as running:
        yield running


def schemathesis(
    location: str, folder: Path, *options: str, phases: str = "examples,coverage,fuzzing,stateful"
) -> subprocess.CompletedProcess[str]:
    """Every check; the summary with the run's seed is in `stdout`."""
    program = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
    assert program, "schemathesis is a development dependency"
    command = [program, "--no-color", "run", location, "--continue-on-failure", "--checks", "all"]
    command += ["--phases", phases, "--max-examples", str(MAX_EXAMPLES)]
    command += ["--header", f"Authorization: Bearer {AUDIT_TOKEN}", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)


@pytest.mark.deep
@pytest.mark.timeout(660)
def test_schemathesis_has_no_finding(service: RunningService, tmp_path: Path) -> None:
    described = sum(
        method in {"get", "head", "post", "put", "patch", "delete"}
        for item in service.client.get("/api/openapi.json").json()["paths"].values()
        for method in item
    )
    run = schemathesis(f"{service.url}/api/openapi.json", tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "No issues found" in run.stdout
    # It leaves out the address it has the document from, which tests/resources/test_docs.py looks at.
    tested = re.search(r"Tested: (\d+)", run.stdout)
    assert tested, run.stdout
    assert int(tested[1]) == described - 1, run.stdout


@pytest.mark.deep
@pytest.mark.parametrize(
    ("where", "promise"),
    [
        (("components", "schemas", "AnswerBody", "properties", "responseTime"), {"type": "string"}),
        (("paths", "/health", "get", "responses", "200", "headers"), {"X-Mood": {"required": True, "schema": {}}}),
        (("paths", "/", "get", "security"), [{"auditToken": []}]),
    ],
)
def test_a_promise_that_is_not_kept_is_found(
    service: RunningService, tmp_path: Path, where: tuple[str, ...], promise: Any
) -> None:
    document = service.client.get("/api/openapi.json").json()
    *way, last = where
    node = document
    for key in way:
        node = node[key]
    node[last] = promise
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    run = schemathesis(str(file), tmp_path, "--url", service.url, phases="examples,coverage")
    assert run.returncode == 1, run.stdout + run.stderr
