"""The service does what its OpenAPI document says, whatever schemathesis thinks of."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.service import AUDIT_TOKEN, RunningService

MAX_EXAMPLES = 60
STREAM = "text/event-stream"
HOOKS = """\
import datetime, hashlib, os, re
import schemathesis
from hypothesis import strategies

# By default also leap seconds and the year 0, which Python's calendar does not have.
times = strategies.datetimes(timezones=strategies.just(datetime.timezone.utc))
schemathesis.openapi.format("date-time", times.map(lambda at: at.isoformat()))

def is_valid(key):
    return isinstance(key, str) and re.fullmatch("[!-~][ -~]{14,253}[!-~]", key)

@schemathesis.hook
def before_call(context, case, kwargs):
    # One key belongs to one request, which no schema can say: a valid key becomes one that follows from the request,
    # and from this run.
    headers = case.headers or {}
    if is_valid(headers.get("Idempotency-Key")):
        others = sorted((name, value) for name, value in headers.items() if name != "Idempotency-Key")
        request = f"{case.body!r} {others!r} {case.media_type} {os.getcwd()}"
        headers["Idempotency-Key"] = hashlib.sha256(request.encode(errors="backslashreplace")).hexdigest()

@schemathesis.hook
def after_call(context, case, response):
    values = (*response.headers.get("content-type", []), *response.headers.get("idempotency-replayed", []))
    with open("seen.txt", "a") as seen:
        print(case.operation.label, response.status_code, *values, file=seen)
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """Without models: the table answers."""
    with RunningService(tmp_path_factory.mktemp("data")) as running:
        yield running


def schemathesis(
    location: str, folder: Path, *options: str, phases: str = "examples,coverage,fuzzing,stateful"
) -> subprocess.CompletedProcess[str]:
    """Every check; the summary with the run's seed is in `stdout`, a line for each response in `folder`/seen.txt."""
    program = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
    assert program, "schemathesis is a development dependency"
    command = [program, "--no-color", "run", location, "--continue-on-failure", "--checks", "all"]
    command += ["--phases", phases, "--max-examples", str(MAX_EXAMPLES)]
    # Not the one of missing test data: what is erased here is a session of nobody, and a 404.
    command += ["--warnings", "missing_auth,validation_mismatch"]
    command += ["--header", f"Authorization: Bearer {AUDIT_TOKEN}", *options]
    (folder / "hooks.py").write_text(HOOKS, encoding="utf-8")
    environment = os.environ | {"SCHEMATHESIS_HOOKS": "hooks"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
    )


def seen(folder: Path) -> Counter[str]:
    """How often each operation answered with which status, media type and replay."""
    return Counter((folder / "seen.txt").read_text(encoding="utf-8").splitlines())


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
    answers = seen(tmp_path)
    assert answers["POST /ouija/ask 200 application/json"]
    assert answers["POST /ouija/ask 200 application/json true"]  # the same request, with the same key
    assert STREAM not in str(answers)  # it takes whatever comes, and that is JSON


@pytest.mark.deep
@pytest.mark.timeout(660)
def test_schemathesis_has_no_finding_in_streams(service: RunningService, tmp_path: Path) -> None:
    run = of_streams(service, tmp_path, lambda event: event, "examples,coverage,fuzzing")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "No issues found" in run.stdout
    answers = seen(tmp_path)
    assert answers[f"POST /ouija/ask 200 {STREAM}"]
    assert answers[f"POST /ouija/ask 200 {STREAM} true"]


@pytest.mark.deep
def test_a_promise_about_streams_that_is_not_kept_is_found(service: RunningService, tmp_path: Path) -> None:
    def spoiled(components: dict[str, Any]) -> None:
        components["schemas"]["StreamDelta"]["properties"]["text"]["maxLength"] = 1

    run = of_streams(service, tmp_path, spoiled, "examples")
    assert run.returncode == 1, run.stdout + run.stderr
    assert "SSE event violates schema" in run.stdout


def of_streams(
    service: RunningService, folder: Path, change: Callable[[dict[str, Any]], object], phases: str
) -> subprocess.CompletedProcess[str]:
    """Asks for streams only. The schema of one event goes where schemathesis looks for it below OpenAPI 3.2."""
    document = service.client.get("/api/openapi.json").json()
    streamed = document["paths"]["/ouija/ask"]["post"]["responses"]["200"]["content"][STREAM]
    streamed["schema"] = streamed["schema"]["contentSchema"]["items"]
    change(document["components"])
    file = folder / "openapi.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    options = ("--url", service.url, "--include-path", "/ouija/ask", "--header", f"Accept: {STREAM}")
    return schemathesis(str(file), folder, *options, phases=phases)


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
